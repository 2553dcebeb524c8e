"""What the trials of a search have taken so far: epochs by kind, starts of trials, and batches trained together.

The seconds of an epoch are those between two reports of an attempt, which holds what comes between two epochs. Of
trials that are trained together the first one (it leads the batch) reports while the batch is trained. The others were
trained before they are handed out: they report their epochs at once, which takes the driver some time per event.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from wsml_study.record.trial_history import TrialHistory, TrialState
from wsml_study.study.training_section import Training


class Kind(NamedTuple):
    """What the seconds of an epoch depend on most.

    Attributes:
        size: of the work of one epoch, relative: share of the training images times pixels of one.
        is_probe: only the head learns.
    """

    method: str
    batch_size: int
    backbone: str | None
    size: float
    is_probe: bool


Batch = tuple[int, int, float, float]
Leaders = dict[Batch, int]
"""Epoch of a batch -> number of the trial that leads it."""

FREE_HEADS = 6
"""The time of a batch of linear probes grows as this number plus that of the probes (measured with 1 to 64)."""

KIND_WEIGHT = 1.0
"""Epochs that the estimate from epochs of other kinds counts as, beside those of the kind itself."""

EVENT_S, EVENT_WEIGHT, OTHER_EVENTS = 0.008, 10.0, 3
"""Of a trial that is trained already: seconds of an event before any was seen; events that this counts as; and its
events that are no epochs."""


NEWEST_EVENTS = 200
"""Events whose seconds count; how long one takes depends on how many slots report at a time."""

MOST_ENDS = 64


@dataclass(kw_only=True)
class Sum:
    """Seconds of several alike things."""

    number: float = 0.0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Add one."""
        self.number += 1
        self.seconds += seconds

    def mean(self, expected: float = 0.0, weight: float = 0.0) -> float:
        """Mean, drawn towards what is expected, which counts as so many; `expected` where there is none."""
        return (self.seconds + weight * expected) / (self.number + weight) if self.number + weight > 0 else expected


@dataclass(kw_only=True)
class EpochSum(Sum):
    """Seconds of epochs, as if each trial had been trained alone.

    Attributes:
        train_seconds: the part of the training images.
    """

    train_seconds: float = 0.0


@dataclass(kw_only=True)
class Tally:
    """What trials have done, summed; all times in seconds.

    Attributes:
        by_kind: epochs of all runs, without those that a process began with, which take longer.
        shares: the same, of trials trained together each one's share.
        begun_with: epochs that a process began with.
        begins: when the first epoch of each slot in this run began, in seconds since 1970.
        start_ups: from the attempt to the first epoch, where a process begins with it.
        starts: the same, of later trials, and from the last epoch to the end of a trial.
        events: the newest ones of trials that were trained before they were handed out.
        worked: seconds of slots in this run that the above explain.
        led: seconds of batches, epoch by epoch, in this run; `led_first`: of the first batch alone.
        trained: trials in batches that began with epoch 1 in this run.
        together: the largest number of trials in a batch of this run.
        ends: when trials of this run left their slots, newest first, as many as matter.
        num_trials: that have ended an epoch in this run.
        num_reported: epochs reported in this run.
        left_after: epoch -> number of trials that ended after it, for any reason.
        reached: epoch -> number of trials whose newest epoch it is, unless they are running.
    """

    by_kind: defaultdict[Kind, EpochSum] = field(default_factory=lambda: defaultdict(EpochSum))
    shares: Sum = field(default_factory=Sum)
    begun_with: Sum = field(default_factory=Sum)
    begins: list[float] = field(default_factory=list)
    start_ups: Sum = field(default_factory=Sum)
    starts: Sum = field(default_factory=Sum)
    events: Sum = field(default_factory=Sum)
    worked: float = 0.0
    led: float = 0.0
    led_first: float = 0.0
    trained: int = 0
    together: int = 1
    ends: list[float] = field(default_factory=list)
    num_trials: int = 0
    num_reported: int = 0
    left_after: Counter[int] = field(default_factory=Counter)
    reached: Counter[int] = field(default_factory=Counter)

    def copy(self) -> Tally:
        """An independent copy."""
        return deepcopy(self)

    def add(self, trial: TrialHistory, leaders: Leaders, since: float, first_end: float) -> None:
        """Add a trial.

        Args:
            trial: with all its epochs.
            leaders: of all batches so far.
            since: start of this run, in seconds since 1970.
            first_end: when the first epoch of this run ended.
        """
        before, reported = 0.0, False
        for epoch, result in trial.epochs.items():
            ended = float(result["time"])
            came = newest_before(trial.starts, ended)
            is_first = came >= before
            before = max(came, before) or ended - whole_seconds_of(result)
            in_this_run = ended >= since
            begins_process = is_first and in_this_run and before < first_end
            interval = max(0.0, ended - before)
            if in_this_run:
                self.num_trials += not reported
                self.num_reported += 1
                reported = True
                self.together = max(self.together, together_of(result))
            if leaders.get(batch_of(result), trial.number) == trial.number:
                self._add_led(trial, epoch, interval, is_first=is_first, begins_process=begins_process, now=in_this_run)
            elif in_this_run:
                left = max((end for end in self.ends if end <= before), default=before) if is_first else before
                self._add_handed_out(ended - left, is_first=is_first)
            before = ended
        if trial.state is not TrialState.RUNNING:
            self.reached[trial.last_epoch] += 1
            self.left_after[trial.last_epoch] += trial.last_epoch < last_epoch_of(trial)
            if reported:
                # One that was paused has left its slot with its newest epoch, however late it is known to have ended.
                left = before if trial.paused_after == trial.last_epoch else max(before, trial.ended or 0.0)
                self._add_end(left - before, before)

    def _add_handed_out(self, interval: float, *, is_first: bool) -> None:
        """An event of a trial that is trained already; the first since its slot became free."""
        self.worked += interval
        if self.events.number > NEWEST_EVENTS:
            self.events.number /= 2
            self.events.seconds /= 2
        self.events.add(interval)
        self.events.number += OTHER_EVENTS if is_first else 0

    def _add_end(self, seconds: float, epoch_ended: float) -> None:
        """A trial has left its slot, so long after its newest epoch."""
        self.ends = heapq.nlargest(MOST_ENDS, [*self.ends, epoch_ended + seconds])
        self.starts.seconds += seconds
        self.worked += seconds

    def _add_led(
        self, trial: TrialHistory, epoch: int, interval: float, *, is_first: bool, begins_process: bool, now: bool
    ) -> None:
        result = trial.epochs[epoch]
        together, whole = together_of(result), whole_seconds_of(result)
        seconds = min(whole, interval) if is_first else interval
        if now:
            self._add_of_this_run(epoch, seconds, together, is_first=is_first)
            self.worked += seconds if begins_process else interval
        if begins_process:
            self.begins.append(float(result["time"]) - seconds)
            self.start_ups.add(interval - seconds)
            self.begun_with.add(seconds / together)
            return
        if is_first:
            self.starts.add(interval - seconds)
        self.shares.add(seconds / together)
        of_kind = self.by_kind[kind_of(trial.config, epoch)]
        of_kind.add(seconds / load_of(together))
        of_kind.train_seconds += min(seconds, float(result["train_seconds"]) * together) / load_of(together)

    def _add_of_this_run(self, epoch: int, seconds: float, together: int, *, is_first: bool) -> None:
        self.led += seconds
        if is_first and epoch == 1:
            self.trained += together
        if self.trained == together:
            self.led_first += seconds

    @property
    def mean_seconds(self) -> float | None:
        """Mean seconds of an epoch of any kind, of trials trained together their share; None while none has ended."""
        if self.shares.number:
            return self.shares.mean()
        # The first epoch of a batch, in which a process opens all its trials, takes several times as long as the next.
        return self.begun_with.mean() if self.begun_with.number and self.together == 1 else None

    @property
    def num_handed_out(self) -> int:
        """Trials that have ended an epoch, or failed before their first."""
        return self.num_trials + self.reached[0]

    @property
    def starts_per_trial(self) -> float:
        """Seconds of a trial beside those of its epochs, in a process that is at work already."""
        return self.starts.mean()

    @property
    def event_seconds(self) -> float:
        """Seconds of an event of a trial that is trained already."""
        return self.events.mean(EVENT_S, EVENT_WEIGHT)

    def seconds_per_epoch(self, kind: Kind) -> float | None:
        """Seconds of an epoch of a trial that is trained alone; None while none of any kind has ended."""
        expected = self._expected(kind)
        if expected is None:
            return self.mean_seconds
        return self.by_kind[kind].mean(expected, KIND_WEIGHT) if kind in self.by_kind else expected

    def _expected(self, kind: Kind) -> float | None:
        """The same, from all epochs of its phase and backbone, or else of its phase, or else of all."""
        closeness: tuple[Callable[[Kind], bool], ...] = (
            lambda one: (one.is_probe, one.backbone) == (kind.is_probe, kind.backbone),
            lambda one: one.is_probe == kind.is_probe,
            lambda _: True,
        )
        for is_alike in closeness:
            alike = [(one, of_kind) for one, of_kind in self.by_kind.items() if is_alike(one)]
            number = sum(of_kind.number for _, of_kind in alike)
            if number:
                train = sum(of_kind.train_seconds for _, of_kind in alike)
                others = sum(of_kind.seconds for _, of_kind in alike) - train
                return kind.size * train / sum(one.size * of_kind.number for one, of_kind in alike) + others / number
        return None


def seconds_of(result: Mapping[str, Any]) -> float:
    """Seconds of an epoch; each one's share of trials that are trained together."""
    return float(result["train_seconds"]) + float(result["validation_seconds"])


def together_of(result: Mapping[str, Any]) -> int:
    """Number of trials whose epochs were trained in one batch with this one, itself included."""
    return int(result.get("trained_together", 1))


def whole_seconds_of(result: Mapping[str, Any]) -> float:
    """Seconds of an epoch of all trials that are trained together."""
    return seconds_of(result) * together_of(result)


def load_of(together: int) -> float:
    """Time of a batch of so many linear probes, as a multiple of that of one alone."""
    return (FREE_HEADS + together) / (FREE_HEADS + 1)


def batch_of(result: Mapping[str, Any]) -> Batch:
    """Equal for an epoch of trials that were trained together: each one's share of its seconds is the same float."""
    return int(result["epoch"]), together_of(result), result["train_seconds"], result["validation_seconds"]


def find_leaders(leaders: Leaders, trials: Iterable[TrialHistory]) -> None:
    """Add the batches of these trials' epochs, each with the trial that reported it first."""
    reports = [
        (result["time"], trial.number, batch_of(result))
        for trial in trials
        for result in trial.epochs.values()
        if together_of(result) > 1
    ]
    for _, number, batch in sorted(reports):
        leaders.setdefault(batch, number)


def newest_before(times: Sequence[float], now: float) -> float:
    """The newest of these times, which ascend, that is not after now; 0 without one."""
    position = bisect_right(times, now)
    return times[position - 1] if position else 0.0


def last_epoch_of(trial: TrialHistory) -> int:
    """The number of the last epoch that a trial is to have."""
    last: int = _training(tuple(sorted(trial.config["training"].items()))).last_epoch
    return last


def kind_of(config: dict[str, Any], epoch: int) -> Kind:
    """The kind of an epoch of a trial with this config."""
    data, training = config["data"], _training(tuple(sorted(config["training"].items())))
    return Kind(
        method=config["method"]["name"],
        batch_size=training.batch_size,
        backbone=config.get("model", {}).get("backbone"),
        size=float((data.get("train_share") or 1) * (data.get("image_size") or 1) ** 2),
        is_probe=training.mode == "linear" or epoch <= training.num_linear_epochs or training.is_class_wise(epoch),
    )


@cache
def _training(items: tuple[tuple[str, Any], ...]) -> Training:
    return Training.model_validate(dict(items))
