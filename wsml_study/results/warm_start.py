"""Section `warm_start`: complete trials of earlier studies as observations of a new search's sampler.

A value counts only where it answers the same question: the same data, hidden labels, validation images and objective.
Values of another dataset are refused and not turned into ranks: which rate is best depends on the dataset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wsml_study.description import Scalar
from wsml_study.errors import ResultsError
from wsml_study.record.events import read_history
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import TrialState
from wsml_study.study.factors import proposed_space
from wsml_study.study.identity import differences
from wsml_study.study.key_rules import value_at
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig

TRAINING_CHOICES = (
    "data.image_size",
    "data.horizontal_flip",
    "data.store",
    "data.pixel_range",
    "data.interpolation",
    "data.feature_scaling",
)
"""Keys of `data` that say how a network is trained, and not on what or how it is judged."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A complete trial of an earlier study.

    Attributes:
        study: folder of the earlier study's results.
        trial: its number there.
        values: of the searched keys of the new study.
        value: its objective.
    """

    study: str
    trial: int
    values: dict[str, Scalar]
    value: float


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """What a study takes from earlier ones, and a sentence about each of them."""

    observations: tuple[Observation, ...]
    notes: tuple[str, ...]


def read_warm_start(study: Study, *, data_fingerprint: str | None = None) -> WarmStart:
    """The observations that a study names.

    Args:
        study: with or without `warm_start`.
        data_fingerprint: of its images and labels; None if they have not been opened.

    Raises:
        ResultsError: a folder has no study, its study answers another question, or no trial of it can be used.
    """
    parts = [_read(study, folder, data_fingerprint) for folder in study.warm_start or ()]
    return WarmStart(
        observations=tuple(one for part in parts for one in part.observations),
        notes=tuple(note for part in parts for note in part.notes),
    )


def _read(study: Study, folder: str, data_fingerprint: str | None) -> WarmStart:
    if not (Path(folder) / "study.yaml").is_file():
        raise ResultsError(
            f"warm_start: {folder}: expected the folder of an earlier study's results, which has a study.yaml; paths "
            f"are relative to where the command runs"
        )
    history = read_history(Path(folder))
    complete = history.with_state(TrialState.COMPLETE)
    if not complete:
        raise ResultsError(f"warm_start: {folder} has no complete trial; remove it, or run it first")
    _refuse_other_data(folder, history, data_fingerprint)
    space = proposed_space(study)
    used: list[Observation] = []
    reasons, dropped, questions = Counter[str](), set[str](), set[str]()
    for trial in complete:
        theirs = TrialConfig.model_validate(trial.config)
        values, outside = _values(space, theirs)
        if outside is not None:
            reasons[f"have {outside} outside this search"] += 1
            continue
        changed = differences(theirs, space.resolve(study, values))
        others = [line for line in changed if changes_question(_key(line))]
        value = trial.value(study.objective)
        if others:
            questions.update(others)
            reasons["answer another question"] += 1
        elif value is None:
            reasons["have no value"] += 1
        else:
            dropped |= {_key(line) for line in changed}
            used.append(Observation(study=folder, trial=trial.number, values=values, value=value))
    if not used:
        raise ResultsError(_nothing(folder, len(complete), reasons, questions))
    return WarmStart(observations=tuple(used), notes=(_note(folder, len(complete), used, reasons, dropped),))


def changes_question(key: str) -> bool:
    """Whether trials that differ in a key are judged on other data or by another measure."""
    return key.partition(".")[0] in ("data", "objective") and key not in TRAINING_CHOICES


def _refuse_other_data(folder: str, history: StudyHistory, data_fingerprint: str | None) -> None:
    known = {run["data_fingerprint"] for run in history.runs if "data_fingerprint" in run}
    if data_fingerprint is not None and known and data_fingerprint not in known:
        raise ResultsError(
            f"warm_start: {folder} ran on other images or labels than this study, under the same keys of `data`; "
            f"its values cannot be compared, so remove it"
        )


def _values(space: SearchSpace, config: TrialConfig) -> tuple[dict[str, Scalar], str | None]:
    """A config's values of the searched keys that apply to it, and the first key whose value is not in the search."""
    content = config.model_dump(mode="json")
    values: dict[str, Scalar] = {}
    for key in space.keys:
        if key.applies(values):
            value = value_at(content, key.path)
            if value is None or not key.contains(value):
                return values, key.path
            values[key.path] = value
    return values, None


def _key(difference: str) -> str:
    return difference.partition(":")[0]


def _nothing(folder: str, num_complete: int, reasons: Counter[str], questions: Iterable[str]) -> str:
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    named = f" ({'; '.join(sorted(questions))})" if questions else ""
    return (
        f"warm_start: of the {num_complete} complete trials of {folder} none can be used: {why}{named}; remove it, or "
        f"make the studies agree"
    )


def _note(folder: str, num_complete: int, used: list[Observation], reasons: Counter[str], dropped: set[str]) -> str:
    others = "".join(f"; {count} {reason}" for reason, count in reasons.items())
    ignored = (
        f"; not searched here and different there, so not regarded: {', '.join(sorted(dropped))}" if dropped else ""
    )
    return f"warm start: {len(used)} of {num_complete} complete trials of {folder} inform the sampler{others}{ignored}"
