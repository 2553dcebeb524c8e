"""The levels of a study, and how far the order of configs on one agrees with their order on the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wsml_study.record.events import read_history
from wsml_study.record.history import StudyHistory, TrialHistory, TrialState
from wsml_study.record.level_progress import LevelState, level_state
from wsml_study.record.storage import LEVELS
from wsml_study.record.wording import describe, spaced
from wsml_study.results.rung_agreement import FEWEST_TRIALS, correlation
from wsml_study.study.fidelity import num_levels
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study


@dataclass(frozen=True, kw_only=True)
class Survivor:
    """A config on two adjacent levels.

    Attributes:
        trial, value, state: on the upper one; the value is None before its first epoch ends.
        lower_trial, lower_value: on the lower one.
        whole: it ran to its end on both, so that its values can be compared with others'.
        method, label: its method, and what was suggested in a few words.
    """

    trial: int
    value: float | None
    state: TrialState
    lower_trial: int
    lower_value: float
    whole: bool
    method: str
    label: str


@dataclass(frozen=True, kw_only=True)
class LevelAgreement:
    """The survivors of a level against the next.

    Attributes:
        lower, upper: what the two levels are called.
        survivors: best on the lower level first.
        count: of survivors that ran to their end on both levels; the correlations are over them alone.
        spearman, kendall: rank correlations, None with fewer than FEWEST_TRIALS of them or where all are equal.
    """

    lower: str
    upper: str
    survivors: tuple[Survivor, ...]
    count: int
    spearman: float | None
    kendall: float | None

    def line(self) -> str:
        """The agreement in a sentence."""
        over = f"{self.count} of {len(self.survivors)} survivors ran to their end on both"
        if self.spearman is None or self.kendall is None:
            return (
                f"Rank agreement of {self.lower} with {self.upper}: unknown, it takes {FEWEST_TRIALS} configs with "
                f"values that differ; {over}."
            )
        return (
            f"Rank agreement of {self.lower} with {self.upper}: Spearman {self.spearman:.2f}, Kendall "
            f"{self.kendall:.2f} (n = {self.count}); {over}."
        )


@dataclass(frozen=True, kw_only=True)
class Levels:
    """All levels of a study, full size included, the cheapest first, and each pair of neighbours with survivors."""

    states: tuple[LevelState, ...]
    agreements: tuple[LevelAgreement, ...]

    @property
    def have_ended(self) -> bool:
        """Whether nothing is left to run on any level."""
        return all(state.has_ended for state in self.states)

    def lines(self) -> list[str]:
        """Where each level stands, and how far they agree."""
        last = len(self.states)
        return [*(state.line(last) for state in self.states), *(agreement.line() for agreement in self.agreements)]


def read_levels(folder: Path) -> Levels | None:
    """The levels of a study; None if it has none.

    Raises:
        ResultsError: events are damaged.
        StudyFileError: the study's description is damaged.
    """
    description = folder / "study.yaml"
    study = read_study(description) if description.exists() else None
    if study is None or study.fidelity is None:
        return None
    numbers = range(1, num_levels(study) + 1)
    histories = {number: read_history(level_folder(folder, study, number)) for number in numbers}
    return Levels(
        states=tuple(level_state(study, number, history) for number, history in histories.items()),
        agreements=tuple(_agreements(study, histories)),
    )


def level_folder(folder: Path, study: Study, number: int) -> Path:
    """Where a level's results are, in the folder of the study; those of full size are the study's own."""
    return folder if number == num_levels(study) else folder / LEVELS / f"level_{number}"


def _agreements(study: Study, histories: dict[int, StudyHistory]) -> Iterator[LevelAgreement]:
    last = num_levels(study)
    for number in range(1, last):
        found = [
            _survivor(study, trial, histories[number])
            for trial in histories[number + 1].trials.values()
            if trial.promoted is not None
        ]
        if found:
            upper = "full size" if number + 1 == last else f"level {number + 1}"
            yield _agreement(f"level {number}", upper, found, sign=study.objective.sign)


def _agreement(lower: str, upper: str, survivors: list[Survivor], *, sign: int) -> LevelAgreement:
    pairs = [(one.lower_value, one.value) for one in survivors if one.whole and one.value is not None]
    below, above = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return LevelAgreement(
        lower=lower,
        upper=upper,
        survivors=tuple(sorted(survivors, key=lambda one: -sign * one.lower_value)),
        count=len(pairs),
        spearman=correlation("spearmanr", below, above),
        kendall=correlation("kendalltau", below, above),
    )


def _survivor(study: Study, trial: TrialHistory, below: StudyHistory) -> Survivor:
    assert trial.promoted is not None
    states = {trial.state, below.trials[trial.promoted.trial].state}
    return Survivor(
        trial=trial.number,
        value=trial.value(study.objective),
        state=trial.state,
        lower_trial=trial.promoted.trial,
        lower_value=trial.promoted.value,
        whole=states == {TrialState.COMPLETE},
        method=trial.config["method"]["name"],
        label=spaced(describe(trial.values)),
    )
