"""Reproduction: a trial of a study is run again and compared."""

from __future__ import annotations

from dataclasses import dataclass

from wsml_study.errors import ResultsError
from wsml_study.record.events import read_history
from wsml_study.record.history import StudyHistory
from wsml_study.record.storage import StudyStorage, open_results
from wsml_study.record.study_folder import locked, set_aside
from wsml_study.record.trial_history import TrialHistory
from wsml_study.results.reproduction import Reproduction, compared_trials, environment_differences
from wsml_study.study.data_section import Data
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.tuning.ledger import Listener
from wsml_study.tuning.planned import PlannedTrial
from wsml_study.tuning.run import Task, run_leased, session_of

REPRODUCTIONS = "reproduced"
"""The folder, inside a study's own, with a study for each trial that ran again."""


@dataclass(frozen=True)
class EndAfter:
    """An early-stopping rule that ends a trial after a fixed epoch."""

    last_epoch: int

    def record(self, trial: int, epoch: int, value: float) -> None:
        """No-op: the rule does not depend on values."""

    def goes_on(self, trial: int, epoch: int) -> bool:
        """Whether the epoch is still to come."""
        return epoch < self.last_epoch


def reproduce_trial(study: Study, listener: Listener, *, trial: int, address: str | None = None) -> Reproduction:
    """Run a trial of a study again, up to its last epoch, and compare every number of every epoch.

    The second run has a folder of its own inside the study's; one of an earlier reproduction is set aside.

    Args:
        study: where the trial ran.
        listener: follows the run.
        trial: its number.
        address: of a Ray cluster; None starts a local one.

    Raises:
        ResultsError: there is no such study or trial, or nothing to compare, or the second run was cut short.
        DataError, TrainingError, ResourcesError: as `run_study`.
    """
    storage = open_results(study.storage, study.name)
    history = read_history(storage.fetch())
    original = _comparable(history, trial, storage)
    config = TrialConfig.model_validate(original.config)
    config = config.model_copy(update={"data": config.data.model_copy(update={"root": study.data.root})})
    again = Study.of_trial(config, name=study.name, resources=study.resources)
    place = storage.inside(REPRODUCTIONS).inside(f"trial_{trial}")
    if _has_ended(place):
        set_aside(place, listener.on_notice)
    plan = (PlannedTrial(config=config, values=original.values, confirms=trial),)
    with locked(place, listener.on_notice) as lease, session_of(place, address) as session:
        task = Task(plan=plan, rule=EndAfter(original.last_epoch))
        outcome = run_leased(again, place, lease, session, listener, task)
    if not outcome.finished:
        raise ResultsError("the run was stopped before the trial was complete; the same command resumes it")
    warnings = _warnings(history, outcome.history, original, same_data=_same_data(config.data, study.data))
    return compared_trials(original, outcome.history.trials[0], classes=history.classes, warnings=warnings)


def _comparable(history: StudyHistory, trial: int, storage: StudyStorage) -> TrialHistory:
    found = history.trials.get(trial)
    if found is None:
        raise ResultsError(
            f"{storage.described}: there is no trial {trial}; the study has {len(history.trials)}, numbered from 0"
        )
    if not found.epochs:
        raise ResultsError(f"{storage.described}: trial {trial} has ended no epoch, so there is nothing to compare")
    return found


def _has_ended(place: StudyStorage) -> bool:
    if not place.exists():
        return False
    return any(trial.ended is not None for trial in read_history(place.fetch()).trials.values())


def _same_data(one: Data, other: Data) -> bool:
    return one.model_copy(update={"root": None}) == other.model_copy(update={"root": None})


def _warnings(before: StudyHistory, now: StudyHistory, original: TrialHistory, *, same_data: bool) -> list[str]:
    """How the second run's machine, programs and data differ from the first's, as far as the event log records them."""
    started = original.started or 0.0
    earlier = [run for run in before.runs if run["time"] <= started] or list(before.runs)
    first, second = earlier[-1], now.runs[-1]
    if "environment" not in first:
        return ["the log does not say what the trial ran with: it is of version 0.1"]
    warnings = environment_differences(first["environment"], second["environment"])
    if same_data and first["data_fingerprint"] != second["data_fingerprint"]:
        warnings.append(f"the data differs: fingerprint {first['data_fingerprint']} -> {second['data_fingerprint']}")
    return warnings
