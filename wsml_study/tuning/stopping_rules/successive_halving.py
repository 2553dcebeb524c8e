"""Asynchronous successive halving (ASHA), and Hyperband's brackets of it."""

from __future__ import annotations

from collections.abc import Sequence

from wsml_study.options import COUNT, Kind, Limits, Option
from wsml_study.study.early_stopping_record import EarlyStoppingRecord, Options

GRACE_EPOCHS = Option(key="grace_epochs", limits=COUNT, default=1, meaning="epochs that every trial is trained for")
REDUCTION_FACTOR = Option(
    key="reduction_factor",
    limits=Limits(kind=Kind.WHOLE, least=2),
    default=3,
    meaning="one in this many trials continues at each rung",
)
BRACKETS = Option(
    key="brackets", limits=COUNT, default=3, meaning="number of brackets, to which trials are assigned in turn"
)


class Asha:
    """At each rung a trial continues if it is among the best 1/reduction_factor that reached it, or the best so far.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, in the stopping
    variant: a decision never waits for other trials, and a stopped trial is never resumed.
    """

    def __init__(self, *, rungs: Sequence[int], reduction_factor: int) -> None:
        self.reduction_factor = reduction_factor
        self.rungs: dict[int, dict[int, float]] = {epoch: {} for epoch in rungs}

    def record(self, trial: int, epoch: int, value: float) -> None:
        """Record a trial's objective after an epoch; a repeated epoch replaces itself and all later ones."""
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
    """Several brackets of successive halving with growing grace periods; trials are assigned by their number.

    Source: Li et al., "Hyperband", JMLR 2018; every bracket decides without waiting, as `Asha`.
    """

    def __init__(self, brackets: Sequence[Asha]) -> None:
        self.brackets = tuple(brackets)

    def record(self, trial: int, epoch: int, value: float) -> None:
        """Record a trial's objective after an epoch in its bracket."""
        self._bracket(trial).record(trial, epoch, value)

    def goes_on(self, trial: int, epoch: int) -> bool:
        """Whether its bracket lets a trial go on."""
        return self._bracket(trial).goes_on(trial, epoch)

    def _bracket(self, trial: int) -> Asha:
        return self.brackets[trial % len(self.brackets)]


def asha_rungs(options: Options, epochs: int) -> list[list[int]]:
    """Epochs below the last one: the grace period times powers of the reduction factor."""
    return [_rungs(options, epochs, bracket=0)]


def hyperband_rungs(options: Options, epochs: int) -> list[list[int]]:
    """As ASHA's, a list per bracket; each bracket leaves out one more of the first ones.

    >>> hyperband_rungs({"grace_epochs": 2, "reduction_factor": 3, "brackets": 2}, 20)
    [[2, 6, 18], [6, 18]]
    """
    return [_rungs(options, epochs, bracket=bracket) for bracket in range(int(options["brackets"] or 1))]


def asha(options: Options, epochs: int) -> Asha:
    """The rule of `early_stopping: {name: asha}`."""
    (rungs,) = asha_rungs(options, epochs)
    return Asha(rungs=rungs, reduction_factor=int(options["reduction_factor"] or 2))


def hyperband(options: Options, epochs: int) -> Hyperband:
    """The rule of `early_stopping: {name: hyperband}`."""
    factor = int(options["reduction_factor"] or 2)
    return Hyperband([Asha(rungs=rungs, reduction_factor=factor) for rungs in hyperband_rungs(options, epochs)])


def _rungs(options: Options, epochs: int, *, bracket: int) -> list[int]:
    factor = int(options["reduction_factor"] or 2)
    rungs = []
    epoch = int(options["grace_epochs"] or 1) * factor**bracket
    while epoch < epochs:
        rungs.append(epoch)
        epoch *= factor
    return rungs


RECORDS = (
    EarlyStoppingRecord(
        name="asha",
        position=10,
        title="compares trials after some epochs and ends the worse ones (asynchronous successive halving)",
        create=asha,
        first_decision="grace_epochs",
        rungs=asha_rungs,
        options=(GRACE_EPOCHS, REDUCTION_FACTOR),
    ),
    EarlyStoppingRecord(
        name="hyperband",
        position=20,
        title="does as asha in several brackets, each with a longer grace period than the last",
        create=hyperband,
        first_decision="grace_epochs",
        rungs=hyperband_rungs,
        options=(GRACE_EPOCHS, REDUCTION_FACTOR, BRACKETS),
    ),
)
