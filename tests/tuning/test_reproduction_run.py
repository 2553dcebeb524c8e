"""What a second run of a trial is warned of, and where it ends."""

import pytest

from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import TrialHistory
from wsml_study.tuning.reproduction_run import EndAfter, _warnings

ENVIRONMENT = {"python": "3.11", "packages": {"torch": "2.11.0"}, "command": "wsml-study run"}


def history(*runs: dict) -> StudyHistory:
    return StudyHistory.replay({"event": "run", "classes": ["cat"]} | run for run in runs)


def run(time: float, fingerprint: str = "f", torch: str = "2.11.0") -> dict:
    environment = ENVIRONMENT | {"packages": {"torch": torch}}
    return {"time": time, "environment": environment, "data_fingerprint": fingerprint}


def trial(started: float) -> TrialHistory:
    return TrialHistory(number=3, values={}, config={}, started=started)


@pytest.mark.parametrize(
    ("before", "now", "started", "warnings"),
    [
        ([run(1.0)], run(9.0), 2.0, []),
        ([run(1.0)], run(9.0, torch="2.12.0"), 2.0, ["torch: 2.11.0 -> 2.12.0"]),
        ([run(1.0)], run(9.0, fingerprint="g"), 2.0, ["the data differs: fingerprint f -> g"]),
        ([run(1.0, torch="2.10.0"), run(5.0)], run(9.0), 6.0, []),
        ([run(1.0, torch="2.10.0"), run(5.0)], run(9.0), 2.0, ["torch: 2.10.0 -> 2.11.0"]),
        ([{"time": 1.0}], run(9.0), 2.0, ["the log does not say what the trial ran with: it is of version 0.1"]),
    ],
    ids=["the same", "another torch", "other data", "the newest run before it", "an earlier run", "an old log"],
)
def test_what_differs_from_the_run_that_started_the_trial_is_said(before, now, started, warnings):
    assert _warnings(history(*before), history(now), trial(started), same_data=True) == warnings


def test_a_trial_whose_data_was_searched_is_not_measured_by_the_studys_fingerprint():
    assert _warnings(history(run(1.0)), history(run(9.0, fingerprint="g")), trial(2.0), same_data=False) == []


def test_a_trial_that_was_stopped_early_ends_where_it_did():
    rule = EndAfter(8)
    rule.record(0, 8, 50.0)
    assert [epoch for epoch in range(1, 15) if rule.goes_on(0, epoch)] == list(range(1, 8))
