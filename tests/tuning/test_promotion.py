"""What goes on from a level to the next, and what others see of a study at one of its levels."""

import pytest

from tests.end_to_end.light_trials import quiet
from tests.sample_studies.levels import level_events, leveled_study, write_level
from wsml_study.errors import ResultsError
from wsml_study.record.event_log import EventLog
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import Promotion
from wsml_study.study.fidelity import at_level
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.tuning.planned import PlannedTrials
from wsml_study.tuning.promotion import survivors
from wsml_study.tuning.run import run_study
from wsml_study.tuning.status import study_status


def history_of(study, trials):
    return StudyHistory.replay(level_events(study, 1, trials))


def rates(planned):
    return [one.config.method.schedule.rate_per_epoch for one in planned]


def test_the_best_configs_go_on_best_first_at_the_size_of_the_next_level():
    study = leveled_study(survivors=2)
    history = history_of(study, [(0.1, 30.0, "complete"), (0.2, 50.0, "complete"), (0.3, 40.0, "stopped")])
    planned = survivors(study, 1, history)
    assert rates(planned) == [0.2, 0.3]
    assert [one.config.training.epochs for one in planned] == [2, 2]
    assert planned[0].promoted == Promotion(level=1, trial=1, value=50.0)


def test_a_config_that_was_proposed_twice_goes_on_once():
    study = leveled_study(survivors=2)
    history = history_of(study, [(0.1, 50.0, "complete"), (0.1, 50.0, "complete"), (0.3, 40.0, "complete")])
    planned = survivors(study, 1, history)
    assert [(one.promoted.trial, rate) for one, rate in zip(planned, rates(planned), strict=True)] == [
        (0, 0.1),
        (2, 0.3),
    ]


def test_failed_trials_do_not_go_on_however_good_they_looked():
    study = leveled_study(survivors=2)
    history = history_of(study, [(0.1, 90.0, "failed"), (0.2, 50.0, "complete"), (0.3, None, "failed")])
    assert rates(survivors(study, 1, history)) == [0.2]


def test_a_level_without_a_value_is_an_error_that_says_where_to_look():
    study = leveled_study()
    with pytest.raises(ResultsError, match=r"level 1 of leveled: no trial has a value.*leveled/fidelity/level_1"):
        survivors(study, 1, history_of(study, [(0.1, None, "failed")]))


def test_full_labels_go_on_only_among_themselves():
    study = parse_study(
        {
            "name": "upper",
            "data": {"dataset": "digit_scenes"},
            "method": {"name": "AN"},
            "search": {"method.name": {"choice": ["AN", "full"]}},
            "trials": 2,
            "fidelity": [{"set": {"training.epochs": 1}, "survivors": 1}],
        },
        source="test",
    )
    space = SearchSpace.from_study(study)
    history = StudyHistory()
    for number, (name, value) in enumerate([("full", 90.0), ("AN", 50.0)]):
        config = space.resolve(study, {"method.name": name}).model_dump(mode="json")
        about = {"trial": number, "time": 0.0}
        values = {"method.name": name}
        history.apply({"event": "created", "values": values, "config": config, "sampler_state": {}} | about)
        result = {"epoch": 1, "val_map": value}
        history.apply({"event": "epoch", "attempt": 1, "result": result, "state": "complete"} | about)
    assert [one.config.method.name for one in survivors(study, 1, history)] == ["AN"]
    del history.trials[1]
    assert [one.config.method.name for one in survivors(study, 1, history)] == ["full"]


def test_the_log_of_the_next_level_says_where_each_config_comes_from(tmp_path):
    study = leveled_study(survivors=1)
    plan = survivors(study, 1, history_of(study, [(0.1, 30.0, "complete"), (0.2, 50.0, "complete")]))
    log = EventLog(tmp_path / "events.jsonl")
    PlannedTrials(at_level(study, 2), log, plan=plan, slots=lambda: 1).suggest("tune-1")
    log.close()
    again = EventLog(tmp_path / "events.jsonl").history.trials[0]
    assert again.promoted == Promotion(level=1, trial=1, value=50.0)


def test_more_trials_on_a_level_add_their_survivors_to_those_that_have_run(tmp_path):
    study = leveled_study(survivors=1)
    log = EventLog(tmp_path / "events.jsonl")
    told = [(0.1, 30.0, "complete"), (0.2, 50.0, "complete")]
    for trials in (told, [*told, (0.3, 60.0, "complete")]):
        plan = survivors(study, 1, history_of(study, trials))
        source = PlannedTrials(at_level(study, 2), log, plan=plan, slots=lambda: 9)
        for tune_id in ("tune-1", "tune-2", "tune-3"):
            source.suggest(tune_id)
    assert [trial.promoted.trial for trial in log.history.trials.values()] == [1, 2]


def test_fewer_trials_than_are_to_survive_are_refused_before_anything_is_written(tmp_path):
    study = leveled_study(trials=6, survivors=4, storage=str(tmp_path))
    progress, _ = quiet()
    with pytest.raises(ResultsError, match=r"--trials 4: with `fidelity` .* ask for more than 4"):
        run_study(study, progress, num_trials=4)
    assert not (tmp_path / "leveled").exists()


def test_status_tells_the_level_and_what_runs_there(tmp_path):
    study = leveled_study(trials=3, survivors=2, storage=str(tmp_path))
    trials = [(0.1, 30.0, "complete"), (0.2, None, "running"), (0.3, 40.0, "complete")]
    write_level(tmp_path / "leveled" / "fidelity" / "level_1", at_level(study, 1), level_events(study, 1, trials))
    write_level(tmp_path / "leveled", study, [])
    status = study_status(str(tmp_path), "leveled")
    assert status.state == "interrupted"
    assert "level 1 of 2: training.epochs 1: 2 of 3 trials ended" in status.lines()
    assert "trials: 0 of 2 ended (none begun)" in status.lines()
    told = status.as_json()
    assert (told["level"], told["levels"]) == (1, [{"level": 1, "num_trials": 3, "ended": 2}])
    assert [running["trial"] for running in told["running"]] == [1]


def test_status_of_a_study_whose_levels_have_ended_is_that_of_full_size(tmp_path):
    study = leveled_study(trials=3, survivors=2, storage=str(tmp_path))
    below = [(0.1, 30.0, "complete"), (0.2, 50.0, "complete"), (0.3, 40.0, "complete")]
    write_level(tmp_path / "leveled" / "fidelity" / "level_1", at_level(study, 1), level_events(study, 1, below))
    above = [(0.2, 70.0, "complete"), (0.3, 80.0, "complete")]
    write_level(tmp_path / "leveled", study, level_events(study, 2, above, promoted=[1, 2], below=below))
    status = study_status(str(tmp_path), "leveled")
    assert (status.state, status.current[0], status.num_trials) == ("finished", 2, 2)
