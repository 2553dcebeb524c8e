"""The limits of a search, `budget` and `stop_when`: whether another trial or another epoch may begin.

All of it is decided from the event log and the clock, so that a run that was killed goes on counting where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from wsml_study.record.history import SearchEnded, StudyHistory
from wsml_study.record.trial_history import ENDED, TrialHistory
from wsml_study.results.slot_times import seconds_of, together_of
from wsml_study.results.time_left import WorkLeft
from wsml_study.study.budget_section import NAMES
from wsml_study.study.search_space import longest_training
from wsml_study.study.spec import Study

FIRST_TOGETHER = 4
"""Linear probes that are trained together while it is unknown how long an epoch takes."""

SAVING_S = 60.0
"""Longest time to wait for the checkpoint of a trial that is paused."""

Regret = Callable[[StudyHistory], float | None]
"""The expected regret of the best config found so far; None while it cannot be told."""


class Limits:
    """Decides when a search has spent its budget, or found enough.

    Once a limit is reached no trial begins. A running one is paused after the epoch it is at: it is saved, and keeps
    its state of a trial that goes on, so that a larger budget goes on with it.
    """

    def __init__(
        self,
        study: Study,
        history: StudyHistory,
        *,
        gpus_per_trial: float,
        regret: Regret | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Count what earlier runs have spent.

        Args:
            study: with `budget` and `stop_when`.
            history: of the study, which goes on changing.
            gpus_per_trial: of one trial.
            regret: computes the expected regret for `stop_when`.
            clock: seconds since 1970.
        """
        self._study, self._history, self._gpus = study, history, gpus_per_trial
        self._regret, self._clock = regret, clock
        self._work = WorkLeft(study)
        self._live: set[int] = set()
        self._paused: dict[int, float] = {}  # number of a trial -> since when
        self._num_judged = -1
        self._reached: SearchEnded | None = None
        self.has_ended = False

    @property
    def reached(self) -> SearchEnded | None:
        """The limit that has ended the search; None while none has."""
        return self._reached if self.has_ended else None

    def most_together(self, most: int) -> int:
        """How many linear probes may be trained together, `most` at most: as many as end within the budget."""
        if self._study.budget is None:
            return most
        epochs, now = longest_training(self._study), self._clock()
        seconds = self._mean_seconds()
        fitting = [most]
        for key, limit in self._study.budget.limits():
            left = limit - self._history.spending.of(key, now)
            if key == "epochs":
                fitting.append(int((left - len(self._at_work)) / epochs))
            elif seconds is None:
                fitting.append(FIRST_TOGETHER)
            else:
                cost = epochs * seconds * (self._gpus * (len(self._at_work) + 1) if key == "gpu_hours" else 1.0)
                fitting.append(int(left * 3600 / cost) if cost > 0 else most)
        return max(1, min(fitting))

    def may_begin(self, waiting: TrialHistory | None) -> bool:
        """Whether a trial may be handed out: one that was interrupted, or a new one (None).

        A new one has to reach its first decision of early stopping, and any at least one epoch.
        """
        epochs = 1 if waiting is not None else self._study.early_stopping.first_decision_epoch or 1
        self._judge()
        if self._reached is None or self._reached.by != "expected_regret":
            seconds = self._mean_seconds() or 0.0
            self._reached = self._short_of(epochs, epochs * seconds)
        if self._reached is not None and not self._live:
            self.has_ended = True
        return self._reached is None

    def hand_out(self, number: int) -> None:
        """A trial goes to a slot."""
        self._live.add(number)

    def leave(self, number: int) -> None:
        """A trial has left its slot."""
        self._live.discard(number)
        self._paused.pop(number, None)

    def goes_on(self, number: int, newest: Mapping[str, Any]) -> bool:
        """Whether a trial may train another epoch after one that is not in the log yet; else it is paused.

        Args:
            number: of the trial.
            newest: the result of that epoch. The next one is expected to take as long.
        """
        self._judge()
        reached = self._reached
        if reached is None or reached.by != "expected_regret":
            reached = self._short_of(1, seconds_of(newest) * together_of(newest), reported=1, without=number)
        if reached is None:
            return True
        self._reached = reached
        self._paused[number] = self._clock()
        return False

    def is_paused(self, number: int) -> bool:
        """Whether a trial trains no further epoch in this run."""
        return number in self._paused

    def all_is_saved(self) -> bool:
        """Whether a limit was reached and all trials in slots are paused and saved, so that the run can end."""
        if not self._live or not self._live <= self._paused.keys():
            return False
        self.has_ended = all(self._is_saved(number, since) for number, since in self._paused.items())
        return self.has_ended

    @property
    def _at_work(self) -> set[int]:
        return self._live - self._paused.keys()

    def _is_saved(self, number: int, since: float) -> bool:
        trial = self._history.trials[number]
        return (
            trial.checkpoint is not None and trial.checkpoint[0] == trial.last_epoch
        ) or self._clock() - since > SAVING_S

    def _short_of(
        self, epochs: int, seconds: float, *, reported: int = 0, without: int | None = None
    ) -> SearchEnded | None:
        """The limit that so many epochs would exceed, beside those in progress; None if there is budget for them.

        Args:
            epochs: to be trained.
            seconds: that they take, by what is known.
            reported: epochs that have ended and are not in the log yet.
            without: a trial that has no epoch in progress.
        """
        budget = self._study.budget
        if budget is None:
            return None
        others, now = len(self._at_work - {without}), self._clock()
        for key, limit in budget.limits():
            spent = self._history.spending.of(key, now)
            needed = {
                "hours": seconds / 3600,
                "epochs": reported + others + epochs,
                "gpu_hours": (others + 1) * self._gpus * seconds / 3600,
            }[key]
            # What is spent to the last bit is reached, even where nothing is known of what comes.
            if spent + needed > limit or spent >= limit:
                return SearchEnded(by=key, limit=limit, message=f"the budget of {limit:g} {NAMES[key]} is spent")
        return None

    def _judge(self) -> None:
        """Compute the expected regret anew, if a trial has ended since."""
        stop_when = self._study.stop_when
        if stop_when is None or self._regret is None:
            return
        num_ended = self._history.num_with_state(*ENDED)
        if num_ended == self._num_judged:
            return
        self._num_judged, limit = num_ended, stop_when.expected_regret
        regret = self._regret(self._history)
        if regret is not None and regret <= limit:
            message = f"expected regret {regret:.2g} <= {limit:g} after {num_ended} trials"
            self._reached = SearchEnded(by="expected_regret", limit=limit, message=message)

    def _mean_seconds(self) -> float | None:
        return self._work.tally(self._history).mean_seconds


def still_holds(ended: SearchEnded | None, study: Study) -> bool:
    """Whether a search that a limit has ended stays ended: the study sets the same limit again, or a tighter one."""
    if ended is None:
        return False
    if ended.by == "expected_regret":
        return study.stop_when is not None and study.stop_when.expected_regret >= ended.limit
    limit = None if study.budget is None else getattr(study.budget, ended.by)
    return limit is not None and limit <= ended.limit
