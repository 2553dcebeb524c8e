"""Time that a search still takes, estimated from the work that is left: epochs times seconds per epoch.

Trials that have ended say little: of trials that are trained together the first takes nearly all of the time, and a
rule of early stopping ends the bad ones first. So the epochs that are left are counted, with early stopping's share as
it is so far, and multiplied by the seconds that an epoch of their kind takes. Of trials trained together an epoch's
seconds are each one's share, which makes their sum the time of the batch.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from wsml_study.record.config_history import configs_of
from wsml_study.record.history import StudyHistory, TrialHistory, TrialState
from wsml_study.study.spec import Study
from wsml_study.study.training_section import Training

Kind = tuple[Any, ...]
"""What the seconds of an epoch depend on most: method, batch size, image size, backbone, and whether only the head
learns."""

RUNG_WEIGHT = 2.0
"""Trials that the rule's own expectation counts as: one in `reduction_factor` goes on after a rung."""

RACE_WEIGHT = 2.0
"""Configs, of all their runs, that are expected beside those whose race is over."""

MOST_OVERHEAD = 5.0
MOST_SIMULATED = 2000


@dataclass(kw_only=True)
class Tally:
    """Epochs that were trained, summed over trials; all times in seconds.

    Attributes:
        seconds, epochs: by kind, of all runs, without epochs that a process began with, which take longer. Of trials
            that were trained together those of the first one count.
        begun_with: seconds and number of these first epochs.
        worked: seconds of the epochs of this run, with the shares of trials that were trained together with them.
        ahead: epochs that were trained together with others in this run and are not reported yet.
        first: begin of the first epoch of this run, in seconds since 1970; None before it ends.
        left_after: epoch -> number of trials that ended after it, for any reason.
        reached: epoch -> number of trials whose newest epoch it is, unless they are running.
        together: the largest number of trials in a batch of this run.
        num_trials: that have ended an epoch in this run.
    """

    seconds: defaultdict[Kind, float] = field(default_factory=lambda: defaultdict(float))
    epochs: Counter[Kind] = field(default_factory=Counter)
    begun_with: tuple[float, int] = (0.0, 0)
    worked: float = 0.0
    ahead: int = 0
    first: float | None = None
    left_after: Counter[int] = field(default_factory=Counter)
    reached: Counter[int] = field(default_factory=Counter)
    together: int = 1
    num_trials: int = 0

    def copy(self) -> Tally:
        """An independent copy."""
        return Tally(
            **vars(self)
            | {
                "seconds": self.seconds.copy(),
                "epochs": self.epochs.copy(),
                "left_after": self.left_after.copy(),
                "reached": self.reached.copy(),
            }
        )

    def add(self, trial: TrialHistory, since: float, first_end: float) -> None:
        """Add a trial.

        Args:
            trial: with all its epochs.
            since: start of this run, in seconds since 1970.
            first_end: when the first epoch of this run ended.
        """
        before, num_before = trial.started, self.num_trials
        for epoch, result in trial.epochs.items():
            seconds, together, ended = seconds_of(result), together_of(result), result["time"]
            # A trial whose epochs were trained before it was started reports them at once: they were counted with the
            # trial that led the batch.
            led = together == 1 or (before is not None and ended - before > seconds * together / 2)
            is_first = self.num_trials == num_before and (trial.started or 0.0) < first_end and ended >= since
            if ended >= since:
                self.num_trials = num_before + 1
                self._add_of_this_run(ended, seconds, together, led=led)
            if led and is_first:
                self.begun_with = (self.begun_with[0] + seconds, self.begun_with[1] + 1)
            elif led:
                kind = kind_of(trial.config, epoch)
                self.seconds[kind] += seconds
                self.epochs[kind] += 1
            before = ended
        if trial.state is not TrialState.RUNNING:
            self._add_ended(trial, in_this_run=self.num_trials > num_before)

    def _add_of_this_run(self, ended: float, seconds: float, together: int, *, led: bool) -> None:
        self.together = max(self.together, together)
        self.worked += seconds * together if led else 0.0
        self.ahead += (together if led else 0) - 1
        begin = ended - (seconds * together if led else 0.0)
        self.first = begin if self.first is None else min(self.first, begin)

    def _add_ended(self, trial: TrialHistory, *, in_this_run: bool) -> None:
        self.reached[trial.last_epoch] += 1
        if trial.last_epoch < last_epoch_of(trial):
            self.left_after[trial.last_epoch] += 1
            if in_this_run and together_of(trial.epochs[trial.last_epoch]) > 1:
                # The batch has trained the others for nothing.
                self.ahead -= last_epoch_of(trial) - trial.last_epoch

    @property
    def mean_seconds(self) -> float | None:
        """Mean seconds of an epoch of any kind; None while none has ended."""
        num = sum(self.epochs.values())
        if num:
            return sum(self.seconds.values()) / num
        # The first epoch of a batch, in which a process opens all its trials, takes several times as long as the next.
        is_known = self.begun_with[1] > 0 and self.together == 1
        return self.begun_with[0] / self.begun_with[1] if is_known else None

    def seconds_per_epoch(self, kind: Kind) -> float | None:
        """Mean seconds of an epoch of a kind; of all of its phase, or of all, where none of the kind has ended."""
        for alike in ((kind,), [one for one in self.epochs if one[-1] == kind[-1]]):
            num = sum(self.epochs[one] for one in alike)
            if num:
                return sum(self.seconds[one] for one in alike) / num
        return self.mean_seconds


class WorkLeft:
    """Estimates the work that a search has left; follows its history without reading the ended trials again."""

    def __init__(self, study: Study) -> None:
        """Follow a study from its first trial."""
        self._study = study
        self._ended = Tally()
        self._open: set[int] = set()
        self._num_seen = 0
        self._since, self._first_end = 0.0, math.inf

    def search_seconds(self, history: StudyHistory, *, num_trials: int | None, slots: int, now: float) -> float | None:
        """Seconds until the search ends; None while no epoch has ended.

        Args:
            history: of the search.
            num_trials: in total; None if only the budget ends the search.
            slots: trials at a time.
            now: in seconds since 1970.
        """
        tally = self.tally(history)
        ends = list(self._budget_seconds(history, tally, slots, now))
        if num_trials is not None:
            ends.append(self._trials_seconds(history, tally, num_trials=num_trials, slots=slots, now=now))
        return min((one for one in ends if one is not None), default=None)

    def confirmation_seconds(self, history: StudyHistory, *, slots: int, now: float) -> float | None:
        """Seconds of the confirmation after the search; None without one, or while no epoch has ended."""
        confirm = self._study.confirm
        if (
            confirm is None
            or not isinstance(confirm.seeds, int)
            or any(t.confirms is not None for t in self._known(history))
        ):
            return None
        tally = self.tally(history)
        works = [work for trial in self._known(history) if (work := self._whole(trial, tally)) is not None]
        if not works:
            return None
        num_runs = (confirm.top + 1) * confirm.seeds
        started = max(0.0, (tally.first or self._since) - self._since)
        return started + num_runs * sum(works) / len(works) * self._overhead(history, tally, slots, now) / slots

    def tally(self, history: StudyHistory) -> Tally:
        """What all trials of the history have done so far."""
        self._open.update(range(self._num_seen, len(history.trials)))
        self._num_seen = len(history.trials)
        since = history.runs[-1].get("time", 0.0) if history.runs else 0.0
        if since != self._since:
            self._since, self._ended, self._open = since, Tally(), set(history.trials)
            self._first_end = math.inf
        if self._first_end == math.inf:
            times = (result["time"] for number in self._open for result in history.trials[number].epochs.values())
            self._first_end = min((time for time in times if time >= since), default=math.inf)
        for number in [one for one in self._open if history.trials[one].closed]:
            self._ended.add(history.trials[number], since, self._first_end)
            self._open.discard(number)
        tally = self._ended.copy()
        for number in self._open:
            tally.add(history.trials[number], since, self._first_end)
        return tally

    def _known(self, history: StudyHistory) -> Iterator[TrialHistory]:
        """The newest trials, whose configs stand for those to come."""
        for number in range(max(0, len(history.trials) - 64), len(history.trials)):
            yield history.trials[number]

    def _budget_seconds(self, history: StudyHistory, tally: Tally, slots: int, now: float) -> Iterator[float | None]:
        spent = history.spending
        for key, limit in {} if self._study.budget is None else dict(self._study.budget.limits()).items():
            left = max(0.0, limit - spent.of(key, now))
            if key == "hours":
                yield left * 3600
            elif key == "gpu_hours":
                gpus = sum(gpus for _, gpus in spent.at_work.values())
                yield left * 3600 / gpus if gpus else None
            else:
                seconds = tally.mean_seconds
                work = None if seconds is None else left * seconds
                yield self._elapsing(work, history, tally, slots, now)

    def _trials_seconds(
        self, history: StudyHistory, tally: Tally, *, num_trials: int, slots: int, now: float
    ) -> float | None:
        # A batch is trained to the end of its longest trial, whichever others are stopped.
        going_on = self._going_on(tally) if tally.together == 1 else {}
        expected = [
            work for trial in self._known(history) if (work := self._work(trial, tally, going_on, 0)) is not None
        ]
        if not expected:
            return None
        of_a_new_one = sum(expected) / len(expected)
        num_new = _runs_to_come(history, num_trials)
        begun = [history.trials[number] for number in sorted(self._open)]
        begun = [trial for trial in begun if trial.state is TrialState.RUNNING]
        running = [self._work(trial, tally, going_on, trial.last_epoch) or 0.0 for trial in begun]
        if tally.together > 1 or num_new > MOST_SIMULATED:
            return self._elapsing(sum(running) + num_new * of_a_new_one, history, tally, slots, now)
        running = [max(0.0, work - _in_progress(trial, now)) for trial, work in zip(begun, running, strict=True)]
        return _last_end([*running, *[of_a_new_one] * num_new], slots) * self._overhead(history, tally, slots, now)

    def _elapsing(
        self, work: float | None, history: StudyHistory, tally: Tally, slots: int, now: float
    ) -> float | None:
        """Seconds in which the slots do this work, of which some may be done already and not reported yet."""
        if work is None:
            return None
        ahead = max(0, tally.ahead) * (tally.mean_seconds or 0.0) + sum(
            _in_progress(history.trials[number], now) for number in self._open
        )
        return max(0.0, work - ahead) * self._overhead(history, tally, slots, now) / slots

    def _overhead(self, history: StudyHistory, tally: Tally, slots: int, now: float) -> float:
        """Time of the slots since the first epoch began, as a multiple of that of the epochs themselves."""
        if tally.first is None:
            return 1.0
        slots = min(slots, max(1, tally.num_trials))
        at_work = tally.worked + sum(_in_progress(history.trials[number], now) for number in self._open)
        return min(MOST_OVERHEAD, max(1.0, (now - tally.first) * slots / at_work)) if at_work > 0 else 1.0

    def _going_on(self, tally: Tally) -> dict[int, float]:
        """Epoch -> share of the trials that go on after it (Kaplan and Meier's estimate); 1 for all other epochs."""
        rungs = {
            epoch for some in self._study.early_stopping.rungs(max(tally.reached, default=1) + 1) for epoch in some
        }
        rungs |= {epoch for some in self._study.early_stopping.rungs(longest(self._study)) for epoch in some}
        share = 1 / float(self._study.early_stopping.options.get("reduction_factor") or 1)
        decided = 0
        going_on: dict[int, float] = {}
        for epoch in sorted({*tally.reached, *rungs}, reverse=True):
            gone, weight = tally.left_after[epoch], RUNG_WEIGHT * (epoch in rungs)
            decided += tally.reached[epoch]
            if decided + weight > 0:
                going_on[epoch] = 1 - (gone + weight * (1 - share)) / (decided + weight)
        return going_on

    def _work(self, trial: TrialHistory, tally: Tally, going_on: dict[int, float], after: int) -> float | None:
        """Expected seconds of the epochs after this one, with early stopping's share."""
        work, share = 0.0, 1.0
        stops = trial.confirms is None
        for epoch in range(after + 1, last_epoch_of(trial) + 1):
            seconds = tally.seconds_per_epoch(kind_of(trial.config, epoch))
            if seconds is None:
                return None
            work += share * seconds
            share *= going_on.get(epoch, 1.0) if stops else 1.0
        return work

    def _whole(self, trial: TrialHistory, tally: Tally) -> float | None:
        return self._work(trial, tally, {}, 0)


def seconds_of(result: Mapping[str, Any]) -> float:
    """Seconds of an epoch; each one's share of trials that are trained together."""
    return float(result["train_seconds"]) + float(result["validation_seconds"])


def together_of(result: Mapping[str, Any]) -> int:
    """Number of trials whose epochs were trained in one batch with this one, itself included."""
    return int(result.get("trained_together", 1))


def last_epoch_of(trial: TrialHistory) -> int:
    """The number of the last epoch that a trial is to have."""
    last: int = _training(tuple(sorted(trial.config["training"].items()))).last_epoch
    return last


def longest(study: Study) -> int:
    """Epochs of the base config."""
    return study.training.last_epoch


def kind_of(config: dict[str, Any], epoch: int) -> Kind:
    """The kind of an epoch of a trial with this config."""
    data, model, training = (
        config["data"],
        config.get("model", {}),
        _training(tuple(sorted(config["training"].items()))),
    )
    is_probe = training.mode == "linear" or epoch <= training.num_linear_epochs
    return (
        config["method"]["name"],
        training.batch_size,
        data.get("image_size"),
        model.get("backbone"),
        is_probe,
    )


@cache
def _training(items: tuple[tuple[str, Any], ...]) -> Training:
    return Training.model_validate(dict(items))


def _runs_to_come(history: StudyHistory, num_trials: int) -> int:
    """Trials that are not begun yet: where configs are counted, those to come and further runs of those begun."""
    num_new = max(0, num_trials - history.num_begun)
    if not history.counts_configs:
        return num_new
    ended = [len(config.runs) for config in configs_of(history) if config.has_ended]
    going_on = [len(config.runs) for config in configs_of(history) if not config.has_ended]
    runs = (sum(ended) + RACE_WEIGHT * history.runs_per_config) / (len(ended) + RACE_WEIGHT)
    return round(num_new * runs + sum(max(0.0, runs - begun) for begun in going_on))


def _in_progress(trial: TrialHistory, now: float) -> float:
    """Seconds of the epoch that a trial is at, so far; at most those of its epoch before."""
    newest = trial.epochs.get(trial.last_epoch)
    if newest is None or trial.state is not TrialState.RUNNING:
        return 0.0
    whole = seconds_of(newest) * together_of(newest)
    return min(max(0.0, now - float(newest["time"])), whole)


def _last_end(works: list[float], slots: int) -> float:
    """When the last of these ends, if each goes to the slot that is free first."""
    free = [0.0] * max(1, slots)
    for work in works:
        heapq.heappush(free, heapq.heappop(free) + work)
    last: float = max(free)
    return last
