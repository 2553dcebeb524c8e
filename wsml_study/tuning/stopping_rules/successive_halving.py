"""Asynchronous successive halving (ASHA), and Hyperband's brackets of it."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Container, Iterator, Mapping, Sequence

from wsml_study.options import COUNT, FLAG, Kind, Limits, Option
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
PROMOTE = Option(
    key="promote",
    limits=FLAG,
    default=False,
    computed="true in new studies",
    meaning="a trial that a rung ends is paused, and goes on once trials to come make it one of the best there",
)


class Rung(dict[int, float]):
    """Trial -> value of those that have reached a rung, with an order that is kept: a study may have 100,000 trials."""

    def __init__(self) -> None:
        super().__init__()
        self._values: list[float] = []  # ascending
        # Of those that have reported no later epoch, the best first: (-value, trial), and the trials alone.
        self._newest: list[tuple[float, int]] = []
        self._newest_trials: list[int] = []

    def put(self, trial: int, value: float) -> None:
        """A trial's newest epoch is this one, with this value."""
        self.drop(trial)
        self[trial] = value
        insort(self._values, value)
        at = bisect_left(self._newest, (-value, trial))
        self._newest.insert(at, (-value, trial))
        self._newest_trials.insert(at, trial)

    def pass_by(self, trial: int) -> None:
        """A trial has reported a later epoch; no-op if it has not been here."""
        if trial in self:
            at = bisect_left(self._newest, (-self[trial], trial))
            if at < len(self._newest) and self._newest_trials[at] == trial:
                del self._newest[at], self._newest_trials[at]

    def drop(self, trial: int) -> None:
        """A trial has not been here after all, since it repeats an earlier epoch."""
        self.pass_by(trial)
        value = self.pop(trial, None)
        if value is not None:
            del self._values[bisect_left(self._values, value)]

    def num_better(self, trial: int) -> int:
        """How many have a larger value than a trial that has been here."""
        return len(self._values) - bisect_right(self._values, self[trial])

    def above(self, num_trials: int, among: Container[int]) -> Iterator[int]:
        """Those that fewer than so many trials, at least 1, are better than, and that have reported no later epoch.

        Args:
            num_trials: as many.
            among: others are left out. Most of the best are at work, thousands on as many slots, and not paused.
        """
        least = self._values[max(0, len(self._values) - num_trials)] if self._values else math.inf
        best = self._newest_trials[: bisect_right(self._newest, (-least, math.inf))]
        return filter(among.__contains__, best)


class Asha:
    """At each rung a trial continues if it is among the best 1/reduction_factor that reached it, or the best so far.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, in the stopping
    variant: a decision never waits for other trials, and a stopped trial is never resumed; see `PromotingAsha`.
    """

    def __init__(self, *, rungs: Sequence[int], reduction_factor: int) -> None:
        self.reduction_factor = reduction_factor
        self.rungs = {epoch: Rung() for epoch in rungs}

    def record(self, trial: int, epoch: int, value: float) -> None:
        """Record a trial's objective after an epoch; a repeated epoch replaces itself and all later ones."""
        for at, rung in self.rungs.items():
            if at > epoch:
                rung.drop(trial)
            elif at == epoch:
                rung.put(trial, value)
            else:
                rung.pass_by(trial)

    def goes_on(self, trial: int, epoch: int) -> bool:
        """Whether a trial recorded at this epoch may go on; always true between rungs."""
        if epoch not in self.rungs:
            return True
        rung = self.rungs[epoch]
        return rung.num_better(trial) < self._quota(len(rung))

    def _quota(self, num_trials: int) -> int:
        """How many of so many trials at a rung go on."""
        return max(1, num_trials // self.reduction_factor)


class PromotingAsha(Asha):
    """As `Asha`, but a trial that does not go on is paused, and goes on as soon as it is among the best of its rung.

    Source: Li et al. 2020, Algorithm 2, which promotes trials from rung to rung, the highest rung first. Unlike there a
    trial that is among the best when it reaches a rung goes on at once.
    """

    def to_resume(self, paused: Mapping[int, int]) -> Sequence[int]:
        """Those now among the best of their rung: of the highest rung first, there the best first."""
        # Only the best of each rung are looked at: most trials of a large study are paused, and few of them rise.
        return [
            trial
            for epoch, rung in sorted(self.rungs.items(), reverse=True)
            for trial in rung.above(self._quota(len(rung)), paused)
            if paused[trial] == epoch
        ]

    def hopeless(self, paused: Mapping[int, int], num_trials: int) -> Sequence[int]:
        """Those that are not among the best of their rung even if all trials to come reach it and are worse."""
        least = self._quota(num_trials)
        return [trial for trial, epoch in paused.items() if self.rungs[epoch].num_better(trial) >= least]


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


class PromotingHyperband(Hyperband):
    """As `Hyperband`, with brackets that promote paused trials."""

    def __init__(self, brackets: Sequence[PromotingAsha]) -> None:
        super().__init__(brackets)
        self._promoting = tuple(brackets)

    def to_resume(self, paused: Mapping[int, int]) -> Sequence[int]:
        """Those that their bracket lets go on, in the order of the brackets."""
        # A bracket knows its own trials alone.
        return [trial for bracket in self._promoting for trial in bracket.to_resume(paused)]

    def hopeless(self, paused: Mapping[int, int], num_trials: int) -> Sequence[int]:
        """Those that have no chance left in their bracket."""
        of_each = math.ceil(num_trials / len(self.brackets))
        return [
            trial for number, own in self._shares(paused) for trial in self._promoting[number].hopeless(own, of_each)
        ]

    def _shares(self, paused: Mapping[int, int]) -> Iterator[tuple[int, dict[int, int]]]:
        """Number of a bracket, and its trials among the paused ones; brackets without any are left out."""
        shares: dict[int, dict[int, int]] = {}
        for trial, epoch in paused.items():
            shares.setdefault(trial % len(self.brackets), {})[trial] = epoch
        yield from sorted(shares.items())


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
    kind = PromotingAsha if options["promote"] else Asha
    return kind(rungs=rungs, reduction_factor=int(options["reduction_factor"] or 2))


def hyperband(options: Options, epochs: int) -> Hyperband:
    """The rule of `early_stopping: {name: hyperband}`."""
    factor, brackets = int(options["reduction_factor"] or 2), hyperband_rungs(options, epochs)
    if options["promote"]:
        return PromotingHyperband([PromotingAsha(rungs=rungs, reduction_factor=factor) for rungs in brackets])
    return Hyperband([Asha(rungs=rungs, reduction_factor=factor) for rungs in brackets])


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
        options=(GRACE_EPOCHS, REDUCTION_FACTOR, PROMOTE),
    ),
    EarlyStoppingRecord(
        name="hyperband",
        position=20,
        title="does as asha in several brackets, each with a longer grace period than the last",
        create=hyperband,
        first_decision="grace_epochs",
        rungs=hyperband_rungs,
        options=(GRACE_EPOCHS, REDUCTION_FACTOR, BRACKETS, PROMOTE),
    ),
)
