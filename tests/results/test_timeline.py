"""When trials ran and what they cost, from the events alone."""

from wsml_study.results.timeline import Attempt, Span, attempts, busy_seconds, slots, spans, working_time


def begun(trial: int, time: float, attempt: int = 1) -> dict:
    return {"event": "attempt", "trial": trial, "attempt": attempt, "time": time}


def epoch(trial: int, time: float, state: str = "running") -> dict:
    return {"event": "epoch", "trial": trial, "attempt": 1, "time": time, "state": state}


def ended(trial: int, time: float, state: str) -> dict:
    return {"event": "ended", "trial": trial, "time": time, "state": state}


def run(time: float) -> dict:
    return {"event": "run", "time": time}


INTERRUPTED = [
    run(0),
    begun(0, 10),
    begun(1, 12),
    epoch(0, 20),
    epoch(1, 22, "complete"),
    ended(1, 23, "complete"),
    begun(2, 24),
    epoch(0, 30),  # the driver is killed here, and comes back after an hour
    run(3630),
    begun(0, 3640, attempt=2),
    epoch(0, 3650, "stopped"),
    begun(2, 3651, attempt=2),
    ended(2, 3655, "failed"),
]


def test_an_attempt_lasts_until_its_trial_ends_or_its_run_does():
    assert attempts(INTERRUPTED) == [
        Attempt(trial=0, number=1, started=10, ended=30, outcome="cut short"),
        Attempt(trial=1, number=1, started=12, ended=22, outcome="complete"),
        Attempt(trial=2, number=1, started=24, ended=30, outcome="cut short"),
        Attempt(trial=0, number=2, started=3640, ended=3650, outcome="stopped"),
        Attempt(trial=2, number=2, started=3651, ended=3655, outcome="failed"),
    ]


def test_a_trial_that_starts_again_within_a_run_cuts_its_attempt_short_when_last_heard_of():
    told = attempts([run(0), begun(0, 1), epoch(0, 5), begun(1, 6), begun(0, 9, attempt=2), epoch(0, 12)])
    assert [(one.trial, one.number, one.ended, one.outcome) for one in told] == [
        (0, 1, 5, "cut short"),
        (1, 1, 12, "running"),
        (0, 2, 12, "running"),
    ]


def test_a_slot_is_taken_again_as_soon_as_it_is_free():
    times = [(0, 10), (0, 4), (4, 6), (5, 9), (7, 8), (10, 12)]
    tries = [Attempt(trial=n, number=1, started=a, ended=b, outcome="complete") for n, (a, b) in enumerate(times)]
    assert slots(tries) == [0, 1, 1, 2, 1, 0]


def test_time_between_runs_is_no_work():
    runs = spans(INTERRUPTED)
    assert runs == [Span(started=0, ended=30), Span(started=3630, ended=3655)]
    assert [working_time(runs, time) for time in (0, 20, 30, 2000, 3630, 3640, 9999)] == [0, 20, 30, 30, 30, 40, 55]


def test_busy_seconds_add_up_over_all_trials():
    tries = attempts(INTERRUPTED)
    assert busy_seconds(tries, 10) == 0
    assert busy_seconds(tries, 20) == 10 + 8
    assert busy_seconds(tries, 3655) == 20 + 10 + 6 + 10 + 4
