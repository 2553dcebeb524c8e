"""Time that a search still takes, estimated from the work that is left.

Trials that have ended say little: of trials that are trained together the first takes nearly all of the time, and a
rule of early stopping ends the bad ones first. So the work is counted that is left: epochs by kind, with early
stopping's share as it is so far, starts of trials, batches of trials that are trained together, and what it takes to
hand out those that are trained already. `results/slot_times.py` says what each took so far. The sum is corrected by how
long slots were at work compared with what their work explains.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from wsml_study.record.config_history import configs_of
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import TrialHistory, TrialState
from wsml_study.results.slot_times import (
    OTHER_EVENTS,
    Leaders,
    Tally,
    batch_of,
    find_leaders,
    kind_of,
    last_epoch_of,
    load_of,
    together_of,
)
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study

RUNG_WEIGHT = 2.0
"""Trials that the rule's own expectation counts as: one in `reduction_factor` goes on after a rung."""

RACE_WEIGHT = 2.0
"""Configs that the expected number of runs counts as, beside those whose race is over."""

BATCH_WEIGHT = 8.0
"""With early stopping, trials that the expected seconds of one in a batch count as, beside those so far."""

LEAST_OVERHEAD, MOST_OVERHEAD = 0.5, 5.0
OVERHEAD_EPOCHS = 4.0
"""Epochs that count as explained, beside those so far, when the time of slots is compared with what explains it."""

MOST_SIMULATED = 2000


@dataclass(frozen=True, kw_only=True)
class State:
    """What is known at a moment.

    Attributes:
        history: of the search.
        tally: of what its trials have done.
        slots: trials at a time.
        now: in seconds since 1970.
        known: the newest trials, whose configs stand for those to come.
        running: trials in slots.
        leaders: of the batches so far.
        going_on: epoch -> share of the trials that go on after it; 1 for all other epochs.
    """

    history: StudyHistory
    tally: Tally
    slots: int
    now: float
    known: tuple[TrialHistory, ...]
    running: tuple[TrialHistory, ...]
    leaders: Leaders
    going_on: dict[int, float]

    @property
    def in_batches(self) -> bool:
        """Whether trials are trained together."""
        return self.tally.together > 1

    def epochs_after(self, trial: TrialHistory, after: int, *, stops: bool = True) -> Iterator[tuple[int, float]]:
        """The trial's epochs after this one, each with the probability that it comes to be trained."""
        # Some fail before their first epoch.
        share = self.going_on.get(0, 1.0) if stops and after == 0 else 1.0
        for epoch in range(after + 1, last_epoch_of(trial) + 1):
            yield epoch, share
            share *= self.going_on.get(epoch, 1.0) if stops and trial.confirms is None else 1.0

    def seconds_after(self, trial: TrialHistory, after: int, *, stops: bool = True) -> float | None:
        """Expected seconds of these epochs, if the trial is trained alone; None if nothing is known."""
        work = 0.0
        for epoch, share in self.epochs_after(trial, after, stops=stops):
            seconds = self.tally.seconds_per_epoch(kind_of(trial.config, epoch))
            if seconds is None:
                return None
            work += share * seconds
        return work

    def handing_out(self, trial: TrialHistory, after: int = 0, *, stops: bool = True) -> float:
        """Seconds in which a trial that is trained already reports its epochs after this one."""
        epochs = sum(share for _, share in self.epochs_after(trial, after, stops=stops))
        return (epochs + (OTHER_EVENTS if after == 0 else 0)) * self.tally.event_seconds

    def running_seconds(self, trial: TrialHistory) -> float:
        """Expected seconds until a running trial ends."""
        newest = trial.epochs.get(trial.last_epoch)
        work = self.seconds_after(trial, trial.last_epoch) or 0.0
        if newest is None or newest["time"] < self._came(trial):
            return self._started_seconds(trial, work)
        if self.in_batches and self.leaders.get(batch_of(newest), trial.number) != trial.number:
            return self.handing_out(trial, trial.last_epoch)
        work = work * load_of(together_of(newest)) if self.in_batches else work
        epochs = last_epoch_of(trial) - trial.last_epoch
        return max(0.0, work - min(self.now - float(newest["time"]), work / max(1, epochs)))

    def _started_seconds(self, trial: TrialHistory, work: float) -> float:
        """The same, before its attempt has reported: perhaps its process starts, and it leads a batch."""
        since = self._came(trial)
        if not self.tally.begins or since < self.tally.begins[0]:
            start = self.tally.start_ups.mean()
            work *= load_of(self.tally.together) if self.in_batches else 1.0
        elif self.in_batches:
            return self.handing_out(trial)
        else:
            start = self.tally.starts.mean()
        epochs = last_epoch_of(trial) - trial.last_epoch
        return max(0.0, start + work - min(self.now - since, start + work / max(1, epochs)))

    @property
    def overhead(self) -> float:
        """Time of the slots since their first epochs began, as a multiple of what explains it."""
        tally = self.tally
        explained = tally.worked + sum(map(self._in_progress, self.running))
        more = OVERHEAD_EPOCHS * max(self.tally.mean_seconds or 0.0, tally.event_seconds)
        if explained <= 0:
            return 1.0
        return min(MOST_OVERHEAD, max(LEAST_OVERHEAD, (self.at_work + more) / (explained + more)))

    @property
    def at_work(self) -> float:
        """Seconds of slots since the first epoch of each began, until there was no trial left for it."""
        begins, ends = self.tally.begins, self.tally.ends
        num_idle = max(0, len(begins) - len(self.running))
        return sum(self.now - begin for begin in begins) - sum(self.now - end for end in ends[:num_idle])

    def _in_progress(self, trial: TrialHistory) -> float:
        """Seconds since a running trial reported, or since its attempt started."""
        newest, since = trial.epochs.get(trial.last_epoch), self._came(trial)
        if newest is not None and newest["time"] >= since:
            return max(0.0, self.now - float(newest["time"]))
        return self.now - since if self.tally.begins and since >= self.tally.begins[0] else 0.0

    def _came(self, trial: TrialHistory) -> float:
        """When a trial came to the slot that it is in, or is about to come."""
        return trial.starts[-1] if trial.starts else self.now


class WorkLeft:
    """Estimates the work that a search has left; follows its history without reading the ended trials again."""

    def __init__(self, study: Study) -> None:
        """Follow a study from its first trial."""
        self._study = study
        # A starting point may lie outside of the search space.
        self._most_configs = None if study.start_from else SearchSpace.from_study(study).size()
        self._ended = Tally()
        self._leaders: Leaders = {}
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
        state = self._state(history, slots, now)
        ends = list(self._budget_seconds(state))
        if num_trials is not None:
            ends.append(_trials_seconds(state, self._runs_to_come(history, num_trials)))
        return min((one for one in ends if one is not None), default=None)

    def confirmation_seconds(self, history: StudyHistory, *, slots: int, now: float) -> float | None:
        """Seconds of the confirmation after the search; None without one, or while no epoch has ended."""
        confirm = self._study.confirm
        if confirm is None or not isinstance(confirm.seeds, int):
            return None
        state = self._state(history, slots, now)
        if any(trial.confirms is not None for trial in state.known):
            return None
        num_runs = (confirm.top + 1) * confirm.seeds
        if state.in_batches:
            work = _batches_seconds(replace(state, going_on={}), num_runs, num_ahead=0)
        else:
            work = _mean_of(state.seconds_after(trial, 0, stops=False) for trial in state.known)
            work = None if work is None else num_runs * (work + state.tally.starts_per_trial)
        if work is None:
            return None
        started = max(0.0, min(state.tally.begins, default=self._since) - self._since)
        return started + work * state.overhead / slots

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
        find_leaders(self._leaders, (history.trials[number] for number in self._open))
        for number in [one for one in self._open if history.trials[one].closed]:
            self._ended.add(history.trials[number], self._leaders, since, self._first_end)
            self._open.discard(number)
        tally = self._ended.copy()
        for number in self._open:
            tally.add(history.trials[number], self._leaders, since, self._first_end)
        return tally

    def _state(self, history: StudyHistory, slots: int, now: float) -> State:
        tally = self.tally(history)
        trials = history.trials
        return State(
            history=history,
            tally=tally,
            slots=slots,
            now=now,
            known=tuple(trials[number] for number in range(max(0, len(trials) - 64), len(trials))),
            running=tuple(trials[one] for one in sorted(self._open) if trials[one].state is TrialState.RUNNING),
            leaders=self._leaders,
            going_on=self._going_on(tally),
        )

    def _runs_to_come(self, history: StudyHistory, num_trials: int) -> int:
        """Trials that are not begun yet, at most as many as the search space holds."""
        if history.exhausted:
            num_trials = history.num_begun
        elif self._most_configs is not None:
            num_trials = min(num_trials, self._most_configs * (history.runs_per_config if history.every_run else 1))
        return _runs_to_come(history, num_trials)

    def _budget_seconds(self, state: State) -> Iterator[float | None]:
        spent = state.history.spending
        for key, limit in {} if self._study.budget is None else dict(self._study.budget.limits()).items():
            left = max(0.0, limit - spent.of(key, state.now))
            if key == "hours":
                yield left * 3600
            elif key == "gpu_hours":
                gpus = sum(gpus for _, gpus in spent.at_work.values())
                yield left * 3600 / gpus if gpus else None
            else:
                yield _epochs_seconds(state, left)

    def _going_on(self, tally: Tally) -> dict[int, float]:
        """Epoch -> share of the trials that go on after it (Kaplan and Meier's estimate); 1 for all other epochs."""
        rungs = {
            epoch for some in self._study.early_stopping.rungs(max(tally.reached, default=1) + 1) for epoch in some
        }
        rungs |= {epoch for some in self._study.early_stopping.rungs(self._study.training.last_epoch) for epoch in some}
        share = 1 / float(self._study.early_stopping.options.get("reduction_factor") or 1)
        decided = 0
        going_on: dict[int, float] = {}
        for epoch in sorted({*tally.reached, *rungs}, reverse=True):
            gone, weight = tally.left_after[epoch], RUNG_WEIGHT * (epoch in rungs)
            decided += tally.reached[epoch]
            if decided + weight > 0:
                going_on[epoch] = 1 - (gone + weight * (1 - share)) / (decided + weight)
        return going_on


def _trials_seconds(state: State, num_new: int) -> float | None:
    """Seconds until the running trials and so many new ones have ended."""
    running = [state.running_seconds(trial) for trial in state.running]
    if state.in_batches:
        work = _batches_seconds(state, num_new, num_ahead=max(0, state.tally.trained - state.tally.num_handed_out))
        return None if work is None else max((sum(running) + work) / state.slots, *running, 0.0) * state.overhead
    of_a_new_one = _mean_of(state.seconds_after(trial, 0) for trial in state.known)
    if of_a_new_one is None:
        return None
    of_a_new_one += state.tally.starts_per_trial
    if num_new > MOST_SIMULATED:
        return (sum(running) + num_new * of_a_new_one) * state.overhead / state.slots
    return _last_end([*running, *[of_a_new_one] * num_new], state.slots) * state.overhead


def _batches_seconds(state: State, num_new: int, *, num_ahead: int) -> float | None:
    """Seconds of slots for new trials that are trained together, of which some are trained already."""
    tally = state.tally
    alone = _mean_of(state.seconds_after(trial, 0) for trial in state.known)
    if alone is None:
        return None
    handing_out = _mean_of(state.handing_out(trial) for trial in state.known) or 0.0
    if any(share < 1 for epoch, share in state.going_on.items() if epoch > 0):
        # Trials that are paused and go on are trained in batches of all sizes, so what counts is the time per trial.
        # The first batch is there to be handed out until another takes its place.
        is_first = tally.led == tally.led_first
        unused = max(0.0, 1 - tally.num_handed_out / tally.together) * tally.led_first * is_first
        expected = alone * load_of(tally.together) / tally.together + handing_out
        each = (tally.worked - unused + BATCH_WEIGHT * expected) / (tally.num_handed_out + BATCH_WEIGHT)
        return max(0.0, num_new * each - unused)
    num_full, rest = divmod(max(0, num_new - num_ahead), tally.together)
    training = num_full * load_of(tally.together) + (load_of(rest) if rest else 0.0)
    return alone * training + num_new * handing_out


def _epochs_seconds(state: State, num_epochs: float) -> float | None:
    """Seconds in which the slots train so many epochs; where they are trained together, report them."""
    tally = state.tally
    if tally.mean_seconds is None:
        return None
    if state.in_batches:
        per_report = state.at_work / max(1, tally.num_reported)
        return num_epochs * per_report / state.slots
    in_progress = sum(
        min(state.now - float(trial.epochs[trial.last_epoch]["time"]), tally.mean_seconds)
        for trial in state.running
        if trial.epochs
    )
    per_epoch = tally.mean_seconds + tally.starts_per_trial * tally.num_trials / max(1, tally.num_reported)
    return max(0.0, num_epochs * per_epoch - in_progress) * state.overhead / state.slots


def _mean_of(works: Iterable[float | None]) -> float | None:
    """Mean of those that are known; None without any."""
    known = [work for work in works if work is not None]
    return sum(known) / len(known) if known else None


def _runs_to_come(history: StudyHistory, num_trials: int) -> int:
    """Trials that are not begun yet: where configs are counted, those to come and further runs of those begun."""
    num_new = max(0, num_trials - history.num_begun)
    if not history.counts_configs:
        return num_new
    ended = [len(config.runs) for config in configs_of(history) if config.has_ended]
    going_on = [len(config.runs) for config in configs_of(history) if not config.has_ended]
    # A config that loses mostly does so after its first run.
    expected = (1 + history.runs_per_config) / 2
    runs = (sum(ended) + RACE_WEIGHT * expected) / (len(ended) + RACE_WEIGHT)
    return round(num_new * runs + sum(max(0.0, runs - begun) for begun in going_on))


def _last_end(works: list[float], slots: int) -> float:
    """When the last of these ends, if each goes to the slot that is free first."""
    free = [0.0] * max(1, slots)
    for work in works:
        heapq.heappush(free, heapq.heappop(free) + work)
    last: float = max(free)
    return last
