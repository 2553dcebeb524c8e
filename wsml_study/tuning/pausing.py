"""Trials that an early stopping rule pauses, and lets go on once they would have survived."""

from __future__ import annotations

from collections.abc import Callable, Container

from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import TrialHistory
from wsml_study.study.early_stopping_record import ResumingRule
from wsml_study.study.spec import TrialConfig

ASKED_AGAIN_AFTER = 0.01
"""The rule is asked who is hopeless once so many trials have ended, as a share of the paused ones: each answer looks at
all of these. In studies with fewer than a hundred paused trials it is asked after each end."""


class Pausing:
    """Decides by the rule which trials pause, which go on, and which have no chance left and end for good.

    It has no state that a restart would need: the history says who is paused, and the rule has been told its epochs.
    """

    def __init__(
        self,
        rule: ResumingRule,
        history: StudyHistory,
        *,
        num_trials: int,
        has_state: Callable[[TrialConfig], bool],
    ) -> None:
        """Ask this rule about the trials of this history.

        Args:
            rule: is told every epoch by `EarlyStoppingScheduler`.
            history: grows as the study runs.
            num_trials: total number of trials that the rule will be told of, at most.
            has_state: whether a paused trial of this config is saved to go on from; else its epochs are run again.
        """
        self._rule, self._history, self._num_trials = rule, history, num_trials
        self.has_state = has_state
        self._until_asked = 0.0
        self._risen: list[TrialHistory] = []
        self._asked_after: int | None = None  # epochs and ends

    def may_go_on(self, number: int, epoch: int) -> bool:
        """Whether a trial that the rule has just ended after this epoch may go on later."""
        config = self._history.trials[number].of_config
        return config not in self._rule.hopeless({config: epoch}, self._num_trials)

    def next_to_resume(self, busy: Container[int]) -> TrialHistory | None:
        """The paused trial that should go on first, if any should.

        Args:
            busy: trials that are still in a slot.
        """
        paused = self._history.paused_after
        # Where many slots become free at once, one answer serves them all.
        if self._asked_after != self._history.num_outcomes:
            self._asked_after = self._history.num_outcomes
            self._risen = [self._first_run(one) for one in self._rule.to_resume(paused)]
        return next((one for one in self._risen if one.of_config in paused and one.number not in busy), None)

    def hopeless(self, busy: Container[int]) -> list[TrialHistory]:
        """Paused trials that cannot go on any more, whatever the trials to come show; `busy` as above.

        Asked whenever a trial has ended. In a large study it mostly names none, and then all at once.
        """
        self._until_asked -= 1
        if self._until_asked > 0:
            return []
        paused = self._history.paused_after
        self._until_asked = ASKED_AGAIN_AFTER * len(paused)
        named = map(self._first_run, sorted(self._rule.hopeless(paused, self._num_trials)))
        return [trial for trial in named if trial.number not in busy]

    def _first_run(self, config: int) -> TrialHistory:
        """Of a config, the only run that is paused."""
        return self._history.trials[self._history.runs_of_config[config][0]]
