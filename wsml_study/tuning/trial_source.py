"""Hands trials out to Tune: first those that were interrupted, then paused ones that go on, then new ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import Any

from ray.tune.search import Searcher

from wsml_study.record.event_log import EventLog
from wsml_study.record.trial_history import TrialHistory, TrialState, best_metric_of
from wsml_study.study.batching import can_train_together, is_stackable
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.tuning.lanes import Lanes
from wsml_study.tuning.limits import Limits
from wsml_study.tuning.pausing import Pausing
from wsml_study.workers.protocol import Assignment, BestSoFar

_Standing = tuple[int, bool]
"""Number of starts of a trial, and whether it is on its way to another slot; both change when it begins in one."""


class TrialSource(Searcher, ABC):  # type: ignore[misc]
    """Hands out trials until the study is complete; subclasses decide what new trials are.

    Attributes:
        limits: of the search, if it has any: no trial is handed out beyond them.
    """

    limits: Limits | None = None

    def __init__(
        self,
        study: Study,
        log: EventLog,
        *,
        num_trials: int,
        slots: Callable[[], int],
        exclusive: bool = False,
        max_together: int = 1,
        pausing: Pausing | None = None,
    ) -> None:
        """Queue the interrupted trials.

        Args:
            study: whose trials these are.
            log: the study's events; `suggest` adds one per new trial.
            num_trials: total number of trials, or of configs where these have several runs.
            slots: returns how many trials may run at a time, which changes as machines join and leave.
            exclusive: hand out only the trials that have run out of memory; otherwise all others.
            max_together: linear probes that a worker may train together, at most.
            pausing: says which paused trials go on; None if the early stopping rule ends trials for good.
        """
        super().__init__()  # without a metric: Tune need not know the objective, which stands in `StepReport`
        self._max_together, self._pausing = max_together, pausing
        self._study, self._log, self._slots = study, log, slots
        self._num_trials = 0 if exclusive else num_trials
        unfinished = log.history.with_state(TrialState.RUNNING)
        self._unfinished = deque(
            self._queued(one) for one in unfinished if (one.out_of_memory is not None) == exclusive
        )
        self._live: dict[str, int] = {}
        self._in_slots: set[int] = set()
        self._before_slot: dict[int, _Standing] = {}
        self._lost_slots: Counter[int] = Counter()
        self._lanes = Lanes()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Tune's config of the next trial, FINISHED if there is none, None while one may follow.

        None also for the id of a trial that is at work: Tune asks again with another one.
        """
        # Tune draws 32 bits per id: among 100,000 trials some come twice.
        if len(self._live) >= self._slots() or trial_id in self._live:
            return None
        if not self._may_begin():
            return None if self._live else str(Searcher.FINISHED)
        following = self._next()
        if following is None:
            # Tune never asks again after FINISHED, but a trial of a population may still stop to be handed out again,
            # one that reaches a rung may let a paused one go on, and a config may get a further run.
            is_population = self._study.early_stopping.record.is_population
            has_runs = self._log.history.counts_configs
            may_come_back = is_population or self._pausing is not None or has_runs or self._holds_back
            may_come_back = may_come_back or any(map(self._has_not_begun, self._in_slots))
            return None if self._live and may_come_back else str(Searcher.FINISHED)
        trial, config = following
        companions = self._companions(trial, config)
        self._live[trial_id] = trial.number
        self._in_slots.add(trial.number)
        self._before_slot[trial.number] = _standing(trial)
        self._lanes.take(trial_id)
        if self.limits is not None:
            self.limits.hand_out(trial.number)
        assignment = Assignment(
            trial=trial.number,
            config=config,
            companions=companions,
            checkpoint=None if trial.checkpoint is None else trial.checkpoint[1],
            best_before=_best_so_far(trial) if trial.takes_over else None,
            known_until=trial.paused_after or 0,
        )
        return assignment.as_tune_config()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial left its slot; one that takes over another trial's network is handed out next.

        So is one whose slot was lost before the trial began there, as often as trials are retried: Tune itself retries
        only trials that have begun.
        """
        trial = self._log.history.trials[self._live.pop(trial_id)]
        goes_on = self._may_have_another_slot(trial.number) if error else trial.moving
        self._in_slots.discard(trial.number)
        self._lanes.free(trial_id)
        if self.limits is not None:
            self.limits.leave(trial.number)
        if goes_on:
            self._unfinished.appendleft(self._queued(trial))

    def goes_on(self, number: int) -> bool:
        """Whether a trial that has left its slot will get another one."""
        return any(trial.number == number for trial, _ in self._unfinished)

    def _may_have_another_slot(self, number: int) -> bool:
        """Whether a trial whose slot was lost is handed out again, which counts as one of its retries."""
        if not self._has_not_begun(number):
            return False
        self._lost_slots[number] += 1
        return self._lost_slots[number] <= self._study.retries

    def _has_not_begun(self, number: int) -> bool:
        """Whether a trial has not begun in the slot that it was handed out to last."""
        return _standing(self._log.history.trials[number]) == self._before_slot[number]

    @property
    def in_slots(self) -> Collection[int]:
        """Numbers of the trials that are in a slot."""
        return self._in_slots

    def sampler_state(self, number: int) -> dict[str, Any]:
        """What a sampler needs to know about a trial after a restart; kept in the event log."""
        return {}

    def _may_begin(self) -> bool:
        """Whether the limits of the search leave room for the next trial."""
        waiting = self._unfinished[0][0] if self._unfinished else None
        only_new = self._pausing is None and not self._log.history.counts_configs
        if waiting is None and only_new and len(self._log.history.trials) >= self._num_trials:
            return True  # there is no trial to begin
        return self.limits is None or self.limits.may_begin(waiting)

    def _next(self) -> tuple[TrialHistory, TrialConfig] | None:
        if self._unfinished:
            return self._unfinished.popleft()
        paused = None if self._pausing is None else self._pausing.next_to_resume(self.in_slots)
        if paused is not None:
            self._log.append("resumed", trial=paused.number, epoch=paused.last_epoch)
            return self._queued(paused)
        further = self._further_run()
        if further is not None:
            return self._queued(further)
        return self._new_trial() if self._log.history.num_begun < self._num_trials else None

    def _queued(self, trial: TrialHistory) -> tuple[TrialHistory, TrialConfig]:
        """A recorded trial with its config; the only place where that is validated."""
        return trial, self._at_its_data(TrialConfig.model_validate(trial.config))

    def _at_its_data(self, config: TrialConfig) -> TrialConfig:
        """The config with the study's data root; the data may have moved since an earlier run."""
        if config.data.root == self._study.data.root:
            return config
        data = config.data.model_copy(update={"root": self._study.data.root})
        return config.model_copy(update={"data": data})

    def _companions(self, trial: TrialHistory, first: TrialConfig) -> tuple[TrialConfig, ...]:
        """Configs that a worker may train in one batch with a trial: every n-th of the next trials, for n slots.

        With n slots the next n trials go to n workers, so every n-th upcoming trial is a good guess for what this
        worker gets next. A wrong guess only costs time: a worker that gets another trial trains it from its start.
        """
        del trial
        most = self._most_together
        if most == 1 or not is_stackable(first):
            return ()
        num_slots = max(1, self._slots())
        upcoming = [
            *(config for trial, config in self._unfinished if trial.checkpoint is None),
            *map(self._at_its_data, self._upcoming(most * num_slots)),
        ]
        companions = [one for one in upcoming[num_slots - 1 :: num_slots] if can_train_together(first, one)]
        return tuple(companions[: most - 1])

    @property
    def _most_together(self) -> int:
        """Linear probes that a worker may train together now."""
        return self._max_together if self.limits is None else self.limits.most_together(self._max_together)

    @property
    def _holds_back(self) -> bool:
        """Whether trials are left that wait for a slot which is busy."""
        return False

    def save(self, checkpoint_path: str) -> None:
        """No-op: the event log is the only state."""

    def restore(self, checkpoint_path: str) -> None:
        """No-op: the constructor replays the event log."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        # Tune pickles its searcher into an experiment snapshot that is never restored; an open log cannot be pickled.
        return object, ()

    def _further_run(self) -> TrialHistory | None:
        """Write the next run of a config that has run already to the log and return it; None if no run is due."""
        return None

    @abstractmethod
    def _upcoming(self, count: int) -> list[TrialConfig]:
        """Configs of the next new trials, as far as they are known before any trial ends; none is created yet."""

    @abstractmethod
    def _new_trial(self) -> tuple[TrialHistory, TrialConfig] | None:
        """Write a new trial to the log and return it with its config; None if there is no other."""


def _best_so_far(trial: TrialHistory) -> BestSoFar:
    newest = trial.epochs[trial.last_epoch]
    return BestSoFar(
        objective=best_metric_of(newest),
        val_map=newest["best_val_map"],
        epoch=newest["best_epoch"],
    )


def _standing(trial: TrialHistory) -> _Standing:
    return trial.attempt, trial.moving
