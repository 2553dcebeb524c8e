"""A study's report: one self-contained HTML file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_whole
from wsml_study.record.storage import CONFIRMATION
from wsml_study.record.trial_history import TrialState
from wsml_study.report.figures.all_figures import SECTIONS
from wsml_study.report.figures.drawing import Format, write_figure
from wsml_study.report.figures.figure import Figure, LeftOut
from wsml_study.report.page.answer import answer, remarks
from wsml_study.report.page.appendix import reproduction_section, trials_section
from wsml_study.report.page.contents import Page, PageSection
from wsml_study.report.page.rendering import GENERATOR, render
from wsml_study.results.class_counts import class_note, class_note_of
from wsml_study.results.study_results import StudyRecord, read_record
from wsml_study.study.data_section import Observe

READ_AHEAD = 2000
"""Bytes read from the start of an existing file to see whether it is a report."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was written.

    Attributes:
        path: of the page.
        num_bytes: of the page.
        num_figures: that are in it.
        left_out: figure -> why it is not in it.
        files: figures as files of their own.
    """

    path: Path
    num_bytes: int
    num_figures: int
    left_out: dict[str, str]
    files: tuple[Path, ...]


def write_report(
    folder: Path, output: Path, *, address: str, figures: Path | None = None, file_format: Format = "svg"
) -> Report:
    """Write the report of a study, which may still be running.

    Args:
        folder: of the study's results.
        output: the page; an earlier report is replaced, any other file is refused.
        address: the study as the reader would type it.
        figures: folder to write each figure to as a file; None for none.
        file_format: of these.

    Raises:
        ResultsError: the folder holds no study's tables, or the output exists and is no report, or cannot be
            written.
    """
    _check_output_is_report(output)
    record = read_record(folder)
    sections = tuple(
        PageSection(
            name=one.name,
            title=one.title,
            figures=tuple(figure for make in one.figures if (figure := make(record)) is not None),
        )
        for one in SECTIONS
    )
    page = _page(record, sections, address)
    content = render(page).encode()
    write_whole(output, content)
    every = [figure for section in sections for figure in section.figures]
    drawn = [figure for figure in every if isinstance(figure, Figure)]
    return Report(
        path=output,
        num_bytes=len(content),
        num_figures=len(drawn),
        left_out={figure.name: figure.why for figure in every if isinstance(figure, LeftOut)},
        files=() if figures is None else tuple(write_figure(figure, figures, file_format) for figure in drawn),
    )


def _page(record: StudyRecord, sections: tuple[PageSection, ...], address: str) -> Page:
    return Page(
        study=record.study.name,
        facts=_facts(record),
        answer=answer(record),
        notes=(*remarks(record), *_class_notes(record)),
        sections=(*sections, trials_section(record), reproduction_section(record, address=address)),
        footer=f"Made by wsml-study {metadata.version('wsml-study')} on {time.strftime('%Y-%m-%d %H:%M')}. "
        "The page is self-contained and works offline. Point at a mark to see its trial.",
    )


def _class_notes(record: StudyRecord) -> list[str]:
    """Over how many classes mAP is a mean: in the search, and on the test images of its confirmation."""
    objective = record.study.objective
    notes = class_note(objective, record.classes)
    if record.confirmation is not None:
        notes += [
            f"In the confirmation, {note}"
            for note in class_note_of(record.folder / CONFIRMATION, objective, splits=["test"])
        ]
    return [f"{note}." for note in notes]


def _facts(record: StudyRecord) -> str:
    study, counts = record.study, record.counts
    model = study.model.backbone if "model.backbone" not in study.varied else "several backbones"
    return (
        f"{study.data.dataset}, {len(record.history.classes)} classes, {_observed(study.data.observe)}; {model}. "
        f"{len(record.trials)} trials: {counts[TrialState.COMPLETE]} complete, "
        f"{counts[TrialState.STOPPED]} stopped early, {counts[TrialState.FAILED]} failed."
        + "".join(f" {line[:1].upper()}{line[1:]}." for line in record.history.limit_lines())
    )


def _observed(observe: Observe) -> str:
    if share := observe.share or observe.share_per_class:
        return f"{share:.0%} of the labels observed"
    if (observe.positives, observe.negatives) == ("all", "all"):
        return "labels as they are"
    kinds = ((observe.positives, "positive"), (observe.negatives, "negative"))
    return f"observed per image: {' and '.join(f'{number} {kind}' for number, kind in kinds if number)} label"


def _check_output_is_report(output: Path) -> None:
    """Raise ResultsError if the output exists and is not an earlier report."""
    if not output.exists():
        return
    if output.is_dir():
        raise ResultsError(f"{output}: expected a file for the report, got a folder; name a file in it with -o")
    with output.open("rb") as file:
        if f'content="{GENERATOR}"'.encode() not in file.read(READ_AHEAD):
            raise ResultsError(f"{output} exists and is no report; name another file with -o")
