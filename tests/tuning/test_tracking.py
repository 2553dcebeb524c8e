"""Trackers show what the event log says, once, whatever interrupts the run; read with the programs they are for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.sample_studies.synthetic import synthetic_events, synthetic_study
from tests.tuning.dashboards import assert_dashboards_show
from tests.tuning.wandb_files import steps_by_run
from wsml_study.errors import StudyFileError
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import TrialHistory
from wsml_study.study.identity import fingerprint
from wsml_study.study.objective_section import Objective
from wsml_study.study.reading import parse_study
from wsml_study.study.spec import Study
from wsml_study.study.tracking_section import Tracking
from wsml_study.testing.promises import promise_in_words
from wsml_study.testing.tracker_contract import TRACKER_CONTRACT, Notices, TrackerCase, follow
from wsml_study.tuning.tracking.opening import trackers_of
from wsml_study.tuning.tracking.optuna_journal import JOURNAL, OptunaJournal
from wsml_study.tuning.tracking.tensorboard import FOLDER, TensorBoardRuns
from wsml_study.tuning.tracking.tracker import Tracked

PAUSE_S = 1.1
"""Weights & Biases names what it writes by the second: a run taken up within it would replace its first part."""


@pytest.fixture(scope="module")
def study() -> Study:
    return synthetic_study(8, epochs=6)


@pytest.fixture(scope="module")
def events(study: Study) -> list[dict[str, Any]]:
    """Eight trials two at a time; trial 7 fails, some are stopped, and trial 1 runs its epochs 3 and 4 twice."""
    told = synthetic_events(study, slots=2, num_classes=3)
    of_1 = [event for event in told if event.get("trial") == 1 and event["event"] == "epoch"]
    again = [event | {"attempt": 2, "time": of_1[3]["time"] + 0.1 + 0.1 * n} for n, event in enumerate(of_1[2:4])]
    restart = {"event": "attempt", "time": of_1[3]["time"] + 0.05, "trial": 1, "attempt": 2}
    at = told.index(of_1[3]) + 1
    return [*told[:at], restart, *again, *told[at:]]


def told(events: list[dict[str, Any]]) -> dict[int, TrialHistory]:
    return StudyHistory.replay(events).trials


def journalled(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL)))).trials


def assert_journal_tells(folder: Path, events: list[dict[str, Any]]) -> None:
    states = {"complete": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
    shown = journalled(folder)
    trials = told(events)
    assert [trial.number for trial in shown] == sorted(trials)
    for trial in shown:
        history = trials[trial.number]
        assert trial.state.name == states[history.state]
        assert trial.params == history.values
        assert trial.intermediate_values == history.values_by_epoch(Objective())
        assert trial.user_attrs["method"] == history.config["method"]["name"]
        assert trial.values == ([history.value(Objective())] if history.state == "complete" else None)


def assert_tensorboard_tells(folder: Path, events: list[dict[str, Any]]) -> None:
    for number, trial in told(events).items():
        run = EventAccumulator(str(folder / FOLDER / f"trial_{number:05d}")).Reload()
        scalars = {tag: run.Scalars(tag) for tag in run.Tags()["scalars"]}
        assert [one.step for one in scalars["map/validation"]] == sorted(trial.epochs)
        assert [one.wall_time for one in scalars["map/validation"]] == [trial.epochs[e]["time"] for e in trial.epochs]
        expected = [trial.epochs[epoch]["loss_false_negative"] for epoch in trial.epochs]
        assert [one.value for one in scalars["memorization/false_negatives"]] == pytest.approx(expected)
        assert ("distrust/precision" in scalars) == any(e["distrust_precision"] for e in trial.epochs.values())
        assert [one.value for one in scalars["objective"]] == pytest.approx([trial.value(Objective())])


def shown_by_the_journal(folder: Path) -> Any:
    """Its trials, without when they were written."""
    if not (folder / JOURNAL).exists():
        return []
    return [
        (one.number, one.state, one.params, one.intermediate_values, one.values, one.user_attrs)
        for one in journalled(folder)
    ]


def shown_by_tensorboard(folder: Path) -> Any:
    """Run -> tag -> the scalars; the names of the files have the time in them."""
    runs = {path.name: EventAccumulator(str(path)).Reload() for path in (folder / FOLDER).glob("*")}
    return {
        name: {tag: [(one.step, one.wall_time, one.value) for one in run.Scalars(tag)] for tag in run.Tags()["scalars"]}
        for name, run in runs.items()
    }


@pytest.mark.parametrize("promise", TRACKER_CONTRACT, ids=promise_in_words)
@pytest.mark.parametrize(
    ("name", "read"), [("optuna_journal", shown_by_the_journal), ("tensorboard", shown_by_tensorboard)]
)
def test_every_tracker_of_files_keeps(
    name: str, read: Callable[[Path], Any], promise: Callable[[TrackerCase], None], tmp_path: Path
) -> None:
    promise(TrackerCase(name=name, value=True, folder=tmp_path, read=read))


def test_the_journal_tells_what_the_log_tells(study, events, tmp_path):
    assert follow(events, lambda: [OptunaJournal(study, tmp_path)]) == []
    assert_journal_tells(tmp_path, events)
    assert {trial.state.name for trial in journalled(tmp_path)} == {"COMPLETE", "PRUNED", "FAIL"}
    assert journalled(tmp_path)[7].user_attrs["error"] == "loss is not finite"


def test_trials_without_validation_images_are_journalled_without_a_value(study, events, tmp_path):
    """Optuna completes no trial that has none; everything else is told."""
    nothing = dict.fromkeys(("val_map", "val_map_true", "val_map_observed", "best_val_map"))
    told = [event | {"result": event["result"] | nothing} if event["event"] == "epoch" else event for event in events]
    follow(told, lambda: [OptunaJournal(study, tmp_path), TensorBoardRuns(study, tmp_path)])
    assert {trial.state.name for trial in journalled(tmp_path)} == {"PRUNED", "FAIL"}
    assert all(trial.value is None and not trial.intermediate_values for trial in journalled(tmp_path))


def test_tensorboard_tells_what_the_log_tells(study, events, tmp_path):
    assert follow(events, lambda: [TensorBoardRuns(study, tmp_path)]) == []
    assert_tensorboard_tells(tmp_path, events)


@pytest.mark.parametrize("close", [True, False], ids=["stopped", "killed"])
def test_wherever_a_run_is_cut_short_nothing_is_lost_or_told_twice(study, events, tmp_path, close):
    for cut_after in range(1, len(events) - 1, 7):
        folder = tmp_path / str(cut_after)
        folder.mkdir()
        follow(
            events,
            lambda folder=folder: [OptunaJournal(study, folder), TensorBoardRuns(study, folder)],
            cut_after=cut_after,
            close=close,
        )
        assert_journal_tells(folder, events)
        assert_tensorboard_tells(folder, events)


def test_a_study_that_is_done_is_told_at_once_and_told_again_adds_nothing(study, events, tmp_path):
    history = StudyHistory.replay(events)
    sizes = []
    for _ in range(2):
        following = Tracked(Notices(), [OptunaJournal(study, tmp_path), TensorBoardRuns(study, tmp_path)])
        following.on_slots(1, 8, history)
        following.close()
        sizes.append({path: path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()})
    assert sizes[0] == sizes[1]
    assert_journal_tells(tmp_path, events)
    assert_tensorboard_tells(tmp_path, events)


def test_what_a_crash_has_torn_is_written_anew(study, events, tmp_path):
    half = len(events) // 2
    follow(events[:half], lambda: [OptunaJournal(study, tmp_path), TensorBoardRuns(study, tmp_path)])
    for path in (tmp_path / JOURNAL, *(tmp_path / FOLDER).rglob("events.*")):
        path.write_bytes(path.read_bytes()[:-7])
    history, notices = StudyHistory.replay(events), Notices()
    following = Tracked(notices, [OptunaJournal(study, tmp_path), TensorBoardRuns(study, tmp_path)])
    following.on_slots(1, 8, history)
    following.close()
    assert notices.heard == []
    assert_journal_tells(tmp_path, events)
    assert_tensorboard_tells(tmp_path, events)


def test_a_tracker_that_fails_is_told_once_and_the_others_go_on(study, events, tmp_path):
    (tmp_path / FOLDER).write_text("in the way")
    notices = follow(events, lambda: [TensorBoardRuns(study, tmp_path), OptunaJournal(study, tmp_path)])
    assert len(notices) == 1
    assert notices[0].startswith("TensorBoard: ")
    assert notices[0].endswith("the study continues without it, and its next run brings it up to date")
    assert_journal_tells(tmp_path, events)


def test_optuna_dashboard_and_tensorboard_open_the_folder_and_show_its_trials(study, events, tmp_path):
    follow(events, lambda: trackers_of(study, tmp_path))
    assert_dashboards_show(tmp_path, study.name, 8)


def test_a_study_says_which_trackers_it_has(study, tmp_path):
    none = study.model_copy(update={"tracking": Tracking(optuna_journal=False, tensorboard=False)})
    assert trackers_of(none, tmp_path) == []
    assert [tracker.called for tracker in trackers_of(study, tmp_path)] == ["Optuna's journal", "TensorBoard"]
    assert fingerprint(none) == fingerprint(study)


def test_mlflow_has_a_run_per_trial_however_often_the_study_was_interrupted(study, events, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking", reason="the extra wsml-study[mlflow] is not installed")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    asked = study.model_copy(update={"tracking": Tracking(optuna_journal=False, tensorboard=False, mlflow=uri)})
    assert follow(events, lambda: trackers_of(asked, tmp_path), cut_after=len(events) // 2, close=False) == []
    client = tracking.MlflowClient(tracking_uri=uri)
    runs = client.search_runs([client.get_experiment_by_name(study.name).experiment_id])
    shown = {int(run.data.tags["wsml_study.trial"]): run for run in runs}
    trials = told(events)
    assert (len(runs), sorted(shown)) == (8, sorted(trials))
    for number, trial in trials.items():
        run = shown[number]
        assert run.info.status == ("FAILED" if trial.state == "failed" else "FINISHED")
        assert run.data.tags["wsml_study.state"] == trial.state
        assert run.data.params["training.learning_rate"] == str(trial.values["training.learning_rate"])
        assert run.data.metrics["objective"] == pytest.approx(trial.value(Objective()))
        steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "map/validation")]
        again = [3, 4] if number == 1 else []  # which MLflow keeps beside the first time
        assert sorted(steps) == sorted([*trial.epochs, *again])


def test_weights_and_biases_is_told_each_epoch_once_over_two_runs(study, events, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wsml-study[wandb] is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    few = [event for event in events if event.get("trial", 0) in (0, 2) and event.get("attempt", 1) == 1]
    few = [event | {"trial": event["trial"] // 2} if "trial" in event else event for event in few]
    asked = study.model_copy(update={"tracking": Tracking(optuna_journal=False, tensorboard=False, wandb="team/lab")})
    assert follow(few, lambda: trackers_of(asked, tmp_path), cut_after=len(few) // 2, pause_s=PAUSE_S) == []
    run = f"synthetic-{round(few[0]['time'])}"
    expected = {f"{run}-{number}": sorted(trial.epochs) for number, trial in told(few).items()}
    assert steps_by_run(tmp_path) == expected


@pytest.mark.parametrize(("package", "value"), [("mlflow", "sqlite:///x.db"), ("wandb", "lab")])
def test_a_tracker_that_is_not_installed_is_told_before_anything_starts(study, monkeypatch, package, value):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setitem(sys.modules, package, None)
    content = study.model_dump(mode="json", exclude_none=True) | {"tracking": {package: value}}
    words = rf"tracking\.{package}: {package} needs the package {package}, .* pip install 'wsml-study\[{package}\]'"
    with pytest.raises(StudyFileError, match=words):
        parse_study(content, "x")
