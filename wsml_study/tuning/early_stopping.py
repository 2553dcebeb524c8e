"""Rules that end trials before their last epoch, rebuilt from what happened."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Protocol

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from wsml_study.record.history import StudyHistory
from wsml_study.study.spec import EarlyStopping


class Rule(Protocol):
    """Decides from trials' objectives after their epochs which of them go on."""

    def record(self, trial: int, epoch: int, value: float) -> None:
        """Note a trial's objective after an epoch; a repeated epoch replaces itself and all that followed."""

    def goes_on(self, trial: int, epoch: int) -> bool:
        """Whether a trial recorded at this epoch may go on."""


class Asha:
    """At each rung a trial goes on while it is among the best 1/reduction_factor seen there, or the best so far.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, in the form that decides
    at once and never resumes a stopped trial.
    """

    def __init__(self, *, rungs: Sequence[int], reduction_factor: int) -> None:
        self.reduction_factor = reduction_factor
        self.rungs: dict[int, dict[int, float]] = {epoch: {} for epoch in rungs}

    def record(self, trial: int, epoch: int, value: float) -> None:
        """Note a trial's objective after an epoch; a repeated epoch replaces itself and all that followed."""
        for rung in [at for at in self.rungs if at > epoch]:
            self.rungs[rung].pop(trial, None)
        if epoch in self.rungs:
            self.rungs[epoch][trial] = value

    def goes_on(self, trial: int, epoch: int) -> bool:
        """Whether a trial recorded at this epoch may go on; always true between rungs."""
        if epoch not in self.rungs:
            return True
        rung = self.rungs[epoch]
        num_better = sum(value > rung[trial] for value in rung.values())
        return num_better < max(1, len(rung) // self.reduction_factor)


class Hyperband:
    """Brackets of successive halving, each later and gentler than the last; trials take turns by their number.

    Source: Li et al., "Hyperband", JMLR 2018; every bracket decides at once, as `Asha`.
    """

    def __init__(self, brackets: Sequence[Asha]) -> None:
        self.brackets = tuple(brackets)

    def record(self, trial: int, epoch: int, value: float) -> None:
        """Note a trial's objective after an epoch in its bracket."""
        self._bracket(trial).record(trial, epoch, value)

    def goes_on(self, trial: int, epoch: int) -> bool:
        """Whether its bracket lets a trial go on."""
        return self._bracket(trial).goes_on(trial, epoch)

    def _bracket(self, trial: int) -> Asha:
        return self.brackets[trial % len(self.brackets)]


class MedianStopping:
    """A trial ends once its best objective is below the median of the other trials' averages up to the same epoch.

    Source: Golovin et al., "Google Vizier", KDD 2017.
    """

    def __init__(self, *, grace_epochs: int, min_trials: int) -> None:
        self.grace_epochs, self.min_trials = grace_epochs, min_trials
        self.values: dict[int, dict[int, float]] = {}

    def record(self, trial: int, epoch: int, value: float) -> None:
        """Note a trial's objective after an epoch; a repeated epoch replaces itself and all that followed."""
        before = self.values.get(trial, {})
        self.values[trial] = {at: noted for at, noted in before.items() if at < epoch} | {epoch: value}

    def goes_on(self, trial: int, epoch: int) -> bool:
        """Whether a trial recorded at this epoch may go on; always true in the grace period and among too few."""
        averages = [
            statistics.fmean(value for at, value in values.items() if at <= epoch)
            for other, values in self.values.items()
            if other != trial and epoch in values
        ]
        if epoch < self.grace_epochs or len(averages) < self.min_trials:
            return True
        best = max(value for at, value in self.values[trial].items() if at <= epoch)
        return best >= statistics.median(averages)


def rule_of(early_stopping: EarlyStopping, *, epochs: int) -> Rule | None:
    """The study's rule, or None for a study that runs every trial to its end, as a population does."""

    def asha(bracket: int = 0) -> Asha:
        rungs = early_stopping.rungs(epochs, bracket=bracket)
        return Asha(rungs=rungs, reduction_factor=early_stopping.reduction_factor or 3)

    match early_stopping.name:
        case "none" | "pbt":
            return None
        case "asha":
            return asha()
        case "hyperband":
            return Hyperband([asha(bracket) for bracket in range(early_stopping.brackets or 3)])
        case "median":
            return MedianStopping(
                grace_epochs=early_stopping.grace_epochs or 1, min_trials=early_stopping.min_trials or 3
            )


class EarlyStoppingScheduler(FIFOScheduler):  # type: ignore[misc]
    """Lets Tune run trials in order and ends those that the rule ends."""

    def __init__(self, rule: Rule | None, history: StudyHistory, metric: str) -> None:
        """Tell the rule of the trials that ran before.

        Args:
            rule: the study's rule, which knows nothing yet, or None.
            history: what happened so far.
            metric: the objective.
        """
        super().__init__()
        self.rule = rule
        for number, trial in history.trials.items():
            for epoch, value in trial.values_by_epoch(metric).items():
                self._record(number, epoch, value)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's question after every epoch: continue or stop."""
        del tune_controller
        number, epoch = trial.config["trial"], result["epoch"]
        self._record(number, epoch, result["value"])
        if self.rule is None or self.rule.goes_on(number, epoch):
            return str(TrialScheduler.CONTINUE)
        return str(TrialScheduler.STOP)

    def _record(self, number: int, epoch: int, value: float) -> None:
        if self.rule is not None:
            self.rule.record(number, epoch, value)
