"""Levels of fidelity of a study, and the rank agreement of configs between adjacent levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wsml_study.record.events import read_history
from wsml_study.record.history import StudyHistory
from wsml_study.record.level_progress import LevelState, level_state
from wsml_study.record.shown_lines import ShownLines
from wsml_study.record.storage import LEVELS
from wsml_study.record.trial_history import TrialHistory, TrialState
from wsml_study.record.wording import describe, spaced
from wsml_study.results.rung_agreement import FEWEST_TRIALS, correlation
from wsml_study.study.fidelity import num_levels
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study


@dataclass(frozen=True, kw_only=True)
class Survivor:
    """A config at two adjacent levels of fidelity.

    Attributes:
        trial, value, state: at the upper level; the value is None before the first epoch ends.
        lower_trial, lower_value: at the lower level.
        whole: it is complete at both levels, so that its values are comparable with others.
        method, label: name of the method, and short text of the suggested values.
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
    """Rank agreement of a level's survivors between this and the next level.

    Attributes:
        lower, upper: names of the two levels.
        survivors: best at the lower level first.
        count: number of survivors that are complete at both levels; only these enter the correlations.
        spearman, kendall: rank correlations; None with fewer than FEWEST_TRIALS such survivors or if all are equal.
    """

    lower: str
    upper: str
    survivors: tuple[Survivor, ...]
    count: int
    spearman: float | None
    kendall: float | None

    def line(self) -> str:
        """The agreement in a sentence."""
        over = f"{self.count} of {len(self.survivors)} survivors are complete at both levels"
        if self.spearman is None or self.kendall is None:
            return (
                f"Rank agreement of {self.lower} with {self.upper}: unknown, it needs {FEWEST_TRIALS} configs with "
                f"different values; {over}."
            )
        return (
            f"Rank agreement of {self.lower} with {self.upper}: Spearman {self.spearman:.2f}, Kendall "
            f"{self.kendall:.2f} (n = {self.count}); {over}."
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class Levels(ShownLines):
    """All levels of fidelity, the cheapest first and full size last, and the agreement of adjacent levels."""

    states: tuple[LevelState, ...]
    agreements: tuple[LevelAgreement, ...]

    @property
    def have_ended(self) -> bool:
        """Whether all trials of all levels have ended."""
        return all(state.has_ended for state in self.states)

    def lines(self) -> list[str]:
        """The progress of each level, and the rank agreement of adjacent levels."""
        last = len(self.states)
        return [*(state.line(last) for state in self.states), *(agreement.line() for agreement in self.agreements)]


def read_levels(folder: Path) -> Levels | None:
    """The levels of fidelity of a study; None if it has none.

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
    """The folder of a level's results; that of full size is the study's own folder."""
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
