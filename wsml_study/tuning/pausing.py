"""Trials that an early stopping rule pauses, and lets go on once they would have survived."""

from __future__ import annotations

from collections.abc import Callable, Container

from wsml_study.record.history import StudyHistory, TrialHistory, TrialState
from wsml_study.study.early_stopping_record import ResumingRule
from wsml_study.study.spec import TrialConfig


class Pausing:
    """Decides by the rule which trials pause, which go on, and which have no chance left and end for good.

    It has no state of its own: the history says who is paused, and the rule has been told the history's epochs.
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

    def may_go_on(self, number: int, epoch: int) -> bool:
        """Whether a trial that the rule has just ended after this epoch may go on later."""
        config = self._history.trials[number].of_config
        return config not in self._rule.hopeless({config: epoch}, self._num_trials)

    def next_to_resume(self, busy: Container[int]) -> TrialHistory | None:
        """The paused trial that should go on first, if any should.

        Args:
            busy: trials that are still in a slot.
        """
        config = next(iter(self._rule.to_resume(self._paused(busy))), None)
        return None if config is None else self._first_run(config)

    def hopeless(self, busy: Container[int]) -> list[TrialHistory]:
        """Paused trials that cannot go on any more, whatever the trials to come show; `busy` as above."""
        return [self._first_run(one) for one in sorted(self._rule.hopeless(self._paused(busy), self._num_trials))]

    def _paused(self, busy: Container[int]) -> dict[int, int]:
        """Paused trials, by the number of their config as the rule knows them -> the epoch of the pause."""
        paused = self._history.with_state(TrialState.PAUSED)
        return {trial.of_config: trial.last_epoch for trial in paused if trial.number not in busy}

    def _first_run(self, config: int) -> TrialHistory:
        return self._history.trials[self._history.runs_of_config[config][0]]
