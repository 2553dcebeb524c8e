"""Compares several studies, and says whether their results are comparable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsml_study.errors import ResultsError
from wsml_study.record.events import read_log
from wsml_study.record.formats import aligned
from wsml_study.record.storage import CONFIRMATION, EVENTS
from wsml_study.results.answered_runs import MAP
from wsml_study.results.class_counts import AT_ZERO, AVERAGED, class_note_of
from wsml_study.results.confirmation import Confirmation, read_confirmation
from wsml_study.results.confirmed_runs import ConfirmedConfig
from wsml_study.results.ranking import best_per_method, ranked_trials
from wsml_study.study.identity import differences
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study


@dataclass(frozen=True, kw_only=True)
class ComparedStudy:
    """A study of a comparison.

    Attributes:
        name: unique in the comparison.
        study: the study file in its folder.
        fingerprints: distinct data fingerprints of its runs; empty for logs of version 0.1.
        best: method -> value and number of the best trial of the search.
        by_estimate: whether the values are estimates, with people's answers or by the trials' scores alone.
        confirmation: its confirmation; None without one.
        class_notes: over how many classes its mAP is a mean, where these are not all, and on how many labels.
        over_some_classes: whether its mAP is not the mean over all classes, or some of them have no positive.
    """

    name: str
    study: Study
    fingerprints: tuple[str, ...]
    best: dict[str, tuple[float, int]]
    by_estimate: bool
    confirmation: Confirmation | None
    class_notes: tuple[str, ...]
    over_some_classes: bool

    def confirmed(self, method: str) -> ConfirmedConfig | None:
        """The best confirmed config of a method."""
        configs = () if self.confirmation is None else self.confirmation.configs
        return next((config for config in configs if config.method == method), None)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Several studies; the others are compared with the first."""

    studies: tuple[ComparedStudy, ...]

    def lines(self) -> list[str]:
        """The best trial per method, the differences of the studies, and whether their results are comparable."""
        lines = [
            *self._table(),
            "search: best validation mAP (trial), which is optimistic; confirmed: mean test mAP",
            *(f"{one.name}: {note}" for one in self.studies for note in one.class_notes),
            *(f"{one.name}: mAP is estimated over unobserved labels" for one in self.studies if one.by_estimate),
            "",
        ]
        first, *others = self.studies
        for other in others:
            changes = differences(first.study, other.study)
            heading = f"{first.name} -> {other.name}"
            lines += [f"{heading}: {'what differs' if changes else 'the same study file'}"]
            lines += [f"  {change}" for change in changes]
            obstacles, doubts = list(_obstacles(first, other)), list(_doubts(first, other))
            verdict = "not comparable" if obstacles else "comparable"
            lines += [f"  {verdict}: {'; '.join([*obstacles, *doubts]) or 'same data, split and metric'}"]
        return lines

    def _table(self) -> list[str]:
        methods = list(dict.fromkeys(method for one in self.studies for method in one.best))
        columns = {"method": methods}
        for one in self.studies:
            columns[f"{one.name}: search"] = [_searched(one, method) for method in methods]
            if one.confirmation is not None:
                columns[f"{one.name}: confirmed"] = [_confirmed(one, method) for method in methods]
        return aligned(columns)


def compare_studies(folders: Sequence[Path]) -> Comparison:
    """Read and compare studies.

    Args:
        folders: folders of results, at least two.

    Raises:
        ResultsError: there is only one, or a folder holds no study's results.
    """
    if len(folders) < 2:
        raise ResultsError(f"expected at least two studies, got {len(folders)}")
    names = [folder.name for folder in folders]
    unique = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]
    return Comparison(studies=tuple(_compared(name, folder) for name, folder in zip(unique, folders, strict=True)))


def _compared(name: str, folder: Path) -> ComparedStudy:
    best = best_per_method(ranked_trials(folder))
    by_estimate = MAP in best
    values = best[MAP].fillna(best["value"]) if by_estimate else best["value"]
    history = read_log(folder / EVENTS)[1]
    study = read_study(folder / "study.yaml")
    confirmation = read_confirmation(folder)
    notes = class_note_of(folder, study.objective, splits=["validation"])
    if confirmation is not None:
        notes += class_note_of(folder / CONFIRMATION, study.objective, splits=["test"])
    return ComparedStudy(
        name=name,
        study=study,
        fingerprints=tuple(dict.fromkeys(run["data_fingerprint"] for run in history.runs if "data_fingerprint" in run)),
        best={
            method: (float(value), int(trial))
            for method, value, trial in zip(best["method"], values, best["trial"], strict=True)
        },
        by_estimate=by_estimate,
        confirmation=confirmation,
        class_notes=tuple(notes),
        over_some_classes=any(AVERAGED in note or AT_ZERO in note for note in notes),
    )


def _searched(one: ComparedStudy, method: str) -> str:
    if method not in one.best:
        return "-"
    value, trial = one.best[method]
    return f"{value:.2f} ({trial})"


def _confirmed(one: ComparedStudy, method: str) -> str:
    config = one.confirmed(method)
    return "-" if config is None else f"{config.test.mean:.2f} ({config.test.low:.2f} to {config.test.high:.2f})"


def _obstacles(first: ComparedStudy, other: ComparedStudy) -> Iterator[str]:
    """Reasons why the results are not comparable."""
    one, another = first.study, other.study
    if one.objective.metric != another.objective.metric:
        yield f"the metric differs ({one.objective.metric}, {another.objective.metric})"
    # Where every class is present in both, they are means over all classes, whatever the studies say.
    if one.objective.least_positives != another.objective.least_positives and (
        first.over_some_classes or other.over_some_classes
    ):
        yield "mAP is a mean over other classes (objective.classes)"
    if one.data.dataset != another.data.dataset:
        yield f"the dataset differs ({one.data.dataset}, {another.data.dataset})"
    elif one.data.validation != another.data.validation:
        yield "the validation split differs"
    elif not one.data.validation.by_truth and one.data.observe != another.data.observe:
        yield f"both validate on {one.data.validation.labels} labels, and these differ"
    if first.by_estimate != other.by_estimate:
        estimated, other_one = (first, other) if first.by_estimate else (other, first)
        yield (
            f"the trials of {estimated.name} alone are ranked by an estimate over unobserved labels; "
            f"`wsml-study answers {other_one.name} --from {estimated.name}` takes people's answers over"
        )
    for study in (first, other):
        if len(study.fingerprints) > 1:
            yield f"the data of {study.name} changed between its runs"
    newest = {study.fingerprints[-1] for study in (first, other) if study.fingerprints}
    if _same_sections(first, other) and len(newest) > 1:
        yield f"the data differs (fingerprints {first.fingerprints[-1]}, {other.fingerprints[-1]})"


def _doubts(first: ComparedStudy, other: ComparedStudy) -> Iterator[str]:
    """What could not be verified."""
    for study in (first, other):
        if not study.fingerprints:
            yield f"the log of {study.name} has no data fingerprint"
    if not _same_sections(first, other) and first.study.data.dataset == other.study.data.dataset:
        yield "their `data` sections differ, so it was not checked whether the images are the same"


def _same_sections(first: ComparedStudy, other: ComparedStudy) -> bool:
    one, another = (study.study.data.model_copy(update={"root": None}) for study in (first, other))
    return one == another
