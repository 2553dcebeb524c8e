"""How far each level of a study has come."""

from __future__ import annotations

from dataclasses import dataclass

from wsml_study.record.history import ENDED, StudyHistory
from wsml_study.study.fidelity import described_level, num_trials
from wsml_study.study.spec import Study


@dataclass(frozen=True, kw_only=True)
class LevelState:
    """How far a level has come.

    Attributes:
        number: from 1; the last one is full size.
        described: what it changes.
        num_trials, num_ended: trials that it is to have, and that have ended.
    """

    number: int
    described: str
    num_trials: int
    num_ended: int

    @property
    def has_ended(self) -> bool:
        """Whether all its trials have."""
        return self.num_ended >= self.num_trials

    def line(self, last: int) -> str:
        """Where the level stands; `last` is the number of the last one."""
        return f"level {self.number} of {last}: {self.described}: {self.num_ended} of {self.num_trials} trials ended"


def level_state(study: Study, number: int, history: StudyHistory) -> LevelState:
    """The level of a study with this history."""
    return LevelState(
        number=number,
        described=described_level(study, number),
        num_trials=max(history.num_trials or num_trials(study, number), len(history.trials)),
        num_ended=len(history.with_state(*ENDED)),
    )
