"""The limits of a search under Ray Tune: trials are paused and saved once a limit is reached, then the run ends."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.result import SHOULD_CHECKPOINT
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from wsml_study.record.history import StudyHistory
from wsml_study.record.lease import Lease
from wsml_study.study.early_stopping_record import Rule
from wsml_study.study.objective_section import Objective
from wsml_study.tuning.early_stopping_scheduler import EarlyStoppingScheduler
from wsml_study.tuning.ledger import StopOnRequest
from wsml_study.tuning.limits import Limits
from wsml_study.workers.protocol import Assignment, StepReport


class LimitedScheduler(EarlyStoppingScheduler):
    """As its parent, and pauses a trial that may train no further epoch."""

    def __init__(self, rule: Rule | None, history: StudyHistory, objective: Objective, limits: Limits) -> None:
        """As its parent; `limits` says whether a trial goes on."""
        super().__init__(rule, history, objective)
        self._limits = limits

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's question after every epoch: continue, stop, or do nothing, which leaves the trial in its slot."""
        decision = super().on_trial_result(tune_controller, trial, result)
        epoch = StepReport.of(result).result
        if decision != TrialScheduler.CONTINUE or epoch is None:
            return decision
        if self._limits.goes_on(Assignment.of(trial.config).trial, epoch):
            return decision
        # Not PAUSE: Tune would start the trial again as soon as a slot is free.
        return str(TrialScheduler.NOOP)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        # Tune pickles its scheduler into an experiment snapshot that is never restored; the history stays out of it.
        return FIFOScheduler, ()


class PausedAreSaved(tune.Callback):  # type: ignore[misc]
    """Saves a trial that is paused after the epoch that it has just ended."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch ended."""
        if self._limits.is_paused(Assignment.of(trial.config).trial):
            result[SHOULD_CHECKPOINT] = True

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return tune.Callback, ()


class StopAtLimits(StopOnRequest):
    """Ends the whole run on request, or once all trials are paused and saved."""

    def __init__(self, limits: Limits, lease: Lease | None = None) -> None:
        super().__init__(lease)
        self._limits = limits

    def stop_all(self) -> bool:
        """Whether the run should end."""
        return super().stop_all() or self._limits.all_is_saved()
