"""The median rule."""

from __future__ import annotations

import statistics

from wsml_study.options import COUNT, Option
from wsml_study.study.early_stopping_record import EarlyStoppingRecord, Options
from wsml_study.tuning.stopping_rules.successive_halving import GRACE_EPOCHS

MIN_TRIALS = Option(
    key="min_trials",
    limits=COUNT,
    default=3,
    meaning="other trials that must have reached an epoch before trials are compared after it",
)


class MedianStopping:
    """A trial ends once its best objective is below the median of the other trials' averages up to the same epoch.

    Source: Golovin et al., "Google Vizier", KDD 2017.
    """

    def __init__(self, *, grace_epochs: int, min_trials: int) -> None:
        self.grace_epochs, self.min_trials = grace_epochs, min_trials
        self.values: dict[int, dict[int, float]] = {}

    def record(self, trial: int, epoch: int, value: float) -> None:
        """Record a trial's objective after an epoch; a repeated epoch replaces itself and all later ones."""
        before = self.values.get(trial, {})
        self.values[trial] = {at: noted for at, noted in before.items() if at < epoch} | {epoch: value}

    def goes_on(self, trial: int, epoch: int) -> bool:
        """Whether a trial recorded at this epoch may go on; always true in the grace period or with too few others."""
        averages = [
            statistics.fmean(value for at, value in values.items() if at <= epoch)
            for other, values in self.values.items()
            if other != trial and epoch in values
        ]
        if epoch < self.grace_epochs or len(averages) < self.min_trials:
            return True
        best = max(value for at, value in self.values[trial].items() if at <= epoch)
        return best >= statistics.median(averages)


def median(options: Options, epochs: int) -> MedianStopping:
    """The rule of `early_stopping: {name: median}`."""
    del epochs
    return MedianStopping(grace_epochs=int(options["grace_epochs"] or 1), min_trials=int(options["min_trials"] or 1))


def described(options: Options) -> str:
    """What the rule does, in a line."""
    grace, others = options["grace_epochs"], options["min_trials"]
    return f"median, from epoch {grace} on, once {others} other trials have reached the same epoch"


RECORDS = (
    EarlyStoppingRecord(
        name="median",
        position=30,
        title="ends trials whose best value is below the median of the others' averages",
        create=median,
        first_decision="grace_epochs",
        describe=described,
        options=(GRACE_EPOCHS, MIN_TRIALS),
    ),
)
