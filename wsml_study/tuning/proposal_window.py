"""What a sampler sees of a long search: the best trials and the newest, so that no proposal costs more than early on.

Optuna's TPE looks at all trials for every proposal: 17, 136 and 1,834 ms at 1,000, 10,000 and 100,000 trials with 8
keys. Its model of good trials is made of the best tenth of them, at most 25; all others only say where trials are
dense. So it is shown the best `BEST`, of which it takes these 25, and the newest others. Optuna's trials all stay, and
keep their numbers. What is shown depends on the trials alone, so that a resumed study proposes the same.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from wsml_study.study.sampler_record import WINDOW

BEST, NEWEST_OPEN = WINDOW // 4, WINDOW // 4
NEWEST_ENDED = WINDOW - BEST - NEWEST_OPEN
"""How many of each a sampler sees. With 8,000 slots there are as many open trials, most of which it need not avoid."""

WITH_OUTCOME = (TrialState.COMPLETE, TrialState.PRUNED)


class WindowedStorage(InMemoryStorage):
    """As its parent; in a block of `window` its trials are fewer. For one study."""

    def __init__(self, sign: int | None) -> None:
        """Without trials.

        Args:
            sign: 1 where larger values are better, -1 where smaller ones are; None for a study without a window.
        """
        super().__init__()
        self._sign = sign
        self._best: list[tuple[tuple[float, ...], int]] = []  # rank and number, the best first
        self._ended: list[int] = []  # ascending, as the following
        self._open: dict[int, None] = {}
        self._shown: list[FrozenTrial] | None = None
        self._shown_in: dict[tuple[TrialState, ...], list[FrozenTrial]] = {}

    def __len__(self) -> int:
        return len(self._trials)

    def one(self, number: int) -> FrozenTrial:
        """A trial by its number; not to be changed."""
        return self._trials[number]

    def replace(self, number: int, trial: FrozenTrial) -> None:
        """Give a trial that has ended another outcome, which Optuna itself does not allow."""
        before = self._trials[number]
        if self._sign is not None and before.state in WITH_OUTCOME:
            del self._best[bisect_left(self._best, (self._rank(before), number))]
            del self._ended[bisect_left(self._ended, number)]
        trial.number, trial._trial_id = before.number, before._trial_id
        self._trials[number] = trial
        self._note(number)

    @contextmanager
    def window(self) -> Iterator[None]:
        """Show only the best and the newest trials during the block, as they are at its beginning."""
        best = (number for _, number in self._best[:BEST])
        shown = sorted({*best, *self._ended[-NEWEST_ENDED:], *islice(reversed(self._open), NEWEST_OPEN)})
        self._shown, self._shown_in = [self._trials[number] for number in shown], {}
        try:
            yield
        finally:
            self._shown = None

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As the parent's, but the template becomes the trial: to copy it is most of what adding it costs."""
        trial_id, number = super().create_new_trial(study_id), len(self) - 1
        if template_trial is not None:
            template_trial.number, template_trial._trial_id = number, trial_id
            self._trials[number] = template_trial
        self._note(number)
        return trial_id

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As the parent's."""
        is_set = super().set_trial_state_values(trial_id, state, values)
        self._note(self.get_trial(trial_id).number)
        return is_set

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials; in a block of `window` those that are shown."""
        if self._shown is None or deepcopy or states == (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        if states is None:
            return self._shown
        # A proposal asks several times for those of the same states, each of which costs as much as a draw.
        assert isinstance(states, Iterable)
        of_states = tuple(states)
        if of_states not in self._shown_in:
            self._shown_in[of_states] = [trial for trial in self._shown if trial.state in of_states]
        return self._shown_in[of_states]

    @property
    def _trials(self) -> list[FrozenTrial]:
        return next(iter(self._studies.values())).trials

    def _note(self, number: int) -> None:
        trial = self._trials[number]
        if self._sign is None:
            return
        if not trial.state.is_finished():
            self._open[number] = None
            return
        self._open.pop(number, None)
        if trial.state in WITH_OUTCOME:
            insort(self._ended, number)
            insort(self._best, (self._rank(trial), number))

    def _rank(self, trial: FrozenTrial) -> tuple[float, ...]:
        """As TPE ranks trials: complete ones by their value, then stopped ones by their last epoch and its value."""
        assert self._sign is not None
        if trial.state is TrialState.COMPLETE:
            return 0.0, -self._sign * trial.values[0]
        step = trial.last_step
        return (2.0,) if step is None else (1.0, -float(step), -self._sign * trial.intermediate_values[step])
