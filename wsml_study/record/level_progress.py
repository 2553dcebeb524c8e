"""Progress of each level of fidelity of a study."""

from __future__ import annotations

from dataclasses import dataclass

from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import ENDED
from wsml_study.study.fidelity import described_level, num_trials
from wsml_study.study.spec import Study


@dataclass(frozen=True, kw_only=True)
class LevelState:
    """Progress of a level of fidelity.

    Attributes:
        number: from 1; the last one is full size.
        described: short description of what it changes.
        num_trials, num_ended: number of its trials, and of those that have ended.
    """

    number: int
    described: str
    num_trials: int
    num_ended: int

    @property
    def has_ended(self) -> bool:
        """Whether all its trials have ended."""
        return self.num_ended >= self.num_trials

    def line(self, last: int) -> str:
        """The progress in one line; `last` is the number of the last level."""
        return f"level {self.number} of {last}: {self.described}: {self.num_ended} of {self.num_trials} trials ended"


def level_state(study: Study, number: int, history: StudyHistory) -> LevelState:
    """Progress of a level, given the history of the study at that level."""
    return LevelState(
        number=number,
        described=described_level(study, number),
        num_trials=max(history.num_trials or num_trials(study, number), len(history.trials)),
        num_ended=history.num_with_state(*ENDED),
    )
