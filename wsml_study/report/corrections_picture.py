"""A picture of corrected labels: photos, each with its observed labels and what was corrected in which epoch."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from wsml_study.data.dataset import Dataset, GivenFeatures
from wsml_study.data.image_store import picture_opener
from wsml_study.data.label_states import POSITIVE, dense_rows
from wsml_study.data.observation import training_labels
from wsml_study.data.picture_sheet import FAINT, LINE, MARGIN, TEXT, TILE, TITLE_SIZE, Color, Page, photo_of
from wsml_study.errors import DataError, ResultsError
from wsml_study.record.files import write_whole
from wsml_study.record.tables import read_table
from wsml_study.report.study_dataset import dataset_of
from wsml_study.results.corrections import Corrections
from wsml_study.study.data_section import Data
from wsml_study.study.spec import TrialConfig

CAPTION_WIDTH = 400
RIGHT, WRONG = (0, 110, 60), (190, 50, 0)
MOST_LINES = TILE // LINE - 1
"""Lines of text beside a photo."""

Line = tuple[str, Color]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A training image with corrected labels.

    Attributes:
        row: of the dataset's training split.
        name: of the image.
        observed: classes that the method was shown as positive.
        corrected: class, epoch (None if unknown) and right (None if unknown) of each correction, by epoch.
        missed: classes that the image shows and that were neither observed nor corrected.
    """

    row: int
    name: str
    observed: tuple[str, ...]
    corrected: tuple[tuple[str, int | None, bool | None], ...]
    missed: tuple[str, ...]


def draw_corrections(
    folder: Path,
    found: Corrections,
    output: Path,
    *,
    num_photos: int = 3,
    data_root: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Draw the photos with the most corrected labels into a .png file.

    Args:
        folder: of the study's results.
        found: the corrections of one of its trials.
        output: the file.
        num_photos: how many photos, those with the most corrected labels first, of equals in the order of the data.
        data_root: folder of the data; None for that of the trial.
        overwrite: replace an earlier file.

    Returns:
        The file.

    Raises:
        ResultsError: the file is of another kind, exists, or cannot be written; or no label was corrected.
        DataError: the data are not there, are features, or have no image of such a name.
    """
    if output.suffix != ".png":
        raise ResultsError(f"{output}: expected a file that ends in .png")
    if output.exists() and not overwrite:
        raise ResultsError(f"{output} exists; name another file, or replace it with --overwrite")
    if not len(found.frame):
        raise ResultsError(f"{folder}: trial {found.trial} corrected no label, so there is nothing to draw")
    data = _data_of(folder, found.trial)
    dataset = dataset_of(data, root=data_root).decoded_with(data.pixel_range, data.interpolation)
    if isinstance(dataset.train.images, GivenFeatures):
        raise DataError(f"{data.dataset.value}: these are features, and have no photos to draw; leave out --picture")
    sheet = _sheet(found, dataset, _subjects(found.frame, dataset, data, num_photos))
    content = io.BytesIO()
    sheet.save(content, format="png")
    write_whole(output, content.getvalue())
    return output


def _data_of(folder: Path, trial: int) -> Data:
    trials = {row["trial"]: row["config"] for row in read_table(folder, "trials").to_pylist()}
    return TrialConfig.model_validate(json.loads(trials[trial])).data


def _subjects(frame: pd.DataFrame, dataset: Dataset, data: Data, num_photos: int) -> list[Subject]:
    rows = {name: row for row, name in enumerate(dataset.train.names)}
    if unknown := [name for name in frame["image"].unique() if name not in rows]:
        raise DataError(
            f"{dataset.name}: no training image is called {unknown[0]}, whose labels were corrected; give the folder "
            "of the data that the study was run on with --data-root"
        )
    frame = frame.assign(row=frame["image"].map(rows))
    sizes = frame.groupby("row", sort=True).size().sort_values(ascending=False, kind="stable")
    chosen = [int(row) for row in sizes.index[:num_photos]]
    labels_NC = dataset.train.labels_NC
    truth_MC = dense_rows(labels_NC, np.array(chosen))
    observed_MC = dense_rows(training_labels(dataset, **data.observe.model_dump()), np.array(chosen))

    def named(chosen_C: np.ndarray) -> tuple[str, ...]:
        return tuple(dataset.classes[column] for column in np.flatnonzero(chosen_C))

    return [
        Subject(
            row=row,
            name=dataset.train.names[row],
            observed=named(observed_C == POSITIVE),
            corrected=(corrected := tuple(_corrections_of(frame[frame["row"] == row]))),
            missed=tuple(
                name
                for name in named((truth_C == POSITIVE) & (observed_C != POSITIVE))
                if name not in {one[0] for one in corrected}
            ),
        )
        for row, truth_C, observed_C in zip(chosen, truth_MC, observed_MC, strict=True)
    ]


def _corrections_of(frame: pd.DataFrame) -> Iterator[tuple[str, int | None, bool | None]]:
    for _, one in frame.iterrows():
        epoch, right = one["epoch"], one["right"]
        yield one["class"], None if pd.isna(epoch) else int(epoch), None if pd.isna(right) else bool(right)


def _sheet(found: Corrections, dataset: Dataset, subjects: Sequence[Subject]) -> Image.Image:
    head, height = MARGIN + 2 * LINE + MARGIN, TILE + LINE + MARGIN
    width = MARGIN + TILE + MARGIN + CAPTION_WIDTH + MARGIN
    sheet = Image.new("RGB", (width, head + len(subjects) * height), "white")
    page = Page(sheet)
    title = f"Trial {found.trial}, {found.method}: labels corrected for good"
    page.write(MARGIN, MARGIN, title, size=TITLE_SIZE, width=width - 2 * MARGIN)
    page.write(MARGIN, MARGIN + LINE + 2, _summary(found), color=FAINT, width=width - 2 * MARGIN)
    assert not isinstance(dataset.train.images, GivenFeatures), "refused before"
    open_picture = picture_opener(dataset.train.images)
    for place, subject in enumerate(subjects):
        top = head + place * height
        photo = photo_of(open_picture(subject.row))
        page.paste(photo, MARGIN, top - (TILE - photo.height) // 2)  # at the upper edge of its tile, as the text is
        page.write(MARGIN, top + photo.height + 2, subject.name, color=FAINT)
        for number, (text, color) in enumerate(_lines(subject)):
            page.write(2 * MARGIN + TILE, top + number * LINE, text, color=color, width=CAPTION_WIDTH)
    return sheet


def _summary(found: Corrections) -> str:
    counts = found.by_class
    right, wrong = int(counts["right"].sum()), int(counts["wrong"].sum())
    judged = f", {right:,} right and {wrong:,} wrong" if right + wrong else ""
    return f"{len(found.frame):,} labels in all{judged}; here the photos with the most"


def _lines(subject: Subject) -> list[Line]:
    """What stands beside a photo, cut to its height."""
    first: list[Line] = [(f"observed: {', '.join(subject.observed) or 'no positive'}", TEXT)]
    lines = [_line(*one) for one in subject.corrected]
    last: list[Line] = [(f"never corrected: {', '.join(subject.missed)}", FAINT)] if subject.missed else []
    room = MOST_LINES - len(first) - len(last)
    if len(lines) > room:
        lines = [*lines[: room - 1], (f"and {len(lines) - room + 1} more", FAINT)]
    return [*first, *lines, *last]


def _line(name: str, epoch: int | None, right: bool | None) -> Line:
    when = "epoch unknown" if epoch is None else f"epoch {epoch}"
    if right is None:
        return f"{when}: {name}, not known whether right", FAINT
    return f"{when}: {name}, {'right' if right else 'wrong'}", RIGHT if right else WRONG
