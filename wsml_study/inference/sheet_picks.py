"""What a contact sheet shows of decisions: of each class the surest images, and those about the threshold.

Shapes: B images of a batch, C classes, K images kept of a class.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import ImageFiles
from wsml_study.data.image_store import picture_opener
from wsml_study.data.picture_sheet import thumbnail
from wsml_study.errors import ResultsError
from wsml_study.inference.decisions import UNDECIDED, YES, Decider
from wsml_study.record.files import write_whole
from wsml_study.report.decisions_section import interval_text, threshold_text
from wsml_study.report.page.contact_sheet import ContactSheet, SheetRow, Shown, render_sheet
from wsml_study.report.sheet_picture import draw_sheet

Floats = npt.NDArray[np.float64]

SURE, NEAR = 4, 4
"""Images of a class: the surest, and those on each side of the threshold that are nearest to it."""

MOST_CLASSES = 100
"""Rows of a sheet, which bounds a page to some 8 MB and a picture to 23,000 pixels in height."""

SUFFIXES = (".html", ".png", ".jpg", ".jpeg")


class Picks:
    """Collects the images of each class that a sheet shows, while predictions go by; keeps twelve rows per class.

    Attributes:
        decider: that decides.
        num_images: seen so far.
    """

    def __init__(self, decider: Decider) -> None:
        self.decider, self.num_images = decider, 0
        num_classes = len(decider.threshold_C)
        self._yes_C = np.zeros(num_classes, dtype=np.int64)
        self._borderline_C = np.zeros(num_classes, dtype=np.int64)
        self._sure, self._just, self._missed = (_Largest(count, num_classes) for count in (SURE, NEAR, NEAR))

    def add(self, rows: Iterable[int], probabilities_BC: Floats) -> None:
        """Look at the probabilities of these rows."""
        rows_B = np.fromiter(rows, dtype=np.int64)
        decisions_BC = self.decider.decisions(probabilities_BC)
        yes_BC, no_BC = decisions_BC == YES, (decisions_BC != YES) & (decisions_BC != UNDECIDED)
        self.num_images += len(rows_B)
        self._yes_C += yes_BC.sum(axis=0)
        self._borderline_C += self.decider.borderline(probabilities_BC).sum(axis=0)
        self._sure.add(rows_B, np.where(yes_BC, probabilities_BC, -np.inf), probabilities_BC)
        self._just.add(rows_B, np.where(yes_BC, -probabilities_BC, -np.inf), probabilities_BC)
        self._missed.add(rows_B, np.where(no_BC, probabilities_BC, -np.inf), probabilities_BC)

    def num_decided(self) -> dict[str, int]:
        """Class -> images decided yes, for the classes with a threshold."""
        pairs = zip(self.decider.rules.classes, self._yes_C.tolist(), strict=True)
        return {rule.name: number for rule, number in pairs if rule.threshold is not None}

    def num_borderline(self, column: int) -> int:
        """Images of a class whose decision is borderline."""
        return int(self._borderline_C[column])

    def of_class(self, column: int) -> list[tuple[int, float]]:
        """Rows and probabilities of the images to show, the surest first."""
        found = {row: p for part in (self._sure, self._just, self._missed) for row, p in part.of_class(column)}
        return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))


class _Largest:
    """The rows with the largest keys of each class."""

    def __init__(self, count: int, num_classes: int) -> None:
        self._count = count
        self._rows_KC = np.empty((0, num_classes), dtype=np.int64)
        self._keys_KC, self._values_KC = np.empty((0, num_classes)), np.empty((0, num_classes))

    def add(self, rows_B: npt.NDArray[np.int64], keys_BC: Floats, values_BC: Floats) -> None:
        keys = np.concatenate([self._keys_KC, keys_BC])
        rows = np.concatenate([self._rows_KC, np.broadcast_to(rows_B[:, None], keys_BC.shape)])
        values = np.concatenate([self._values_KC, values_BC])
        order_KC = np.argsort(-keys, axis=0, kind="stable")[: self._count]
        self._keys_KC, self._rows_KC, self._values_KC = (
            np.take_along_axis(part, order_KC, axis=0) for part in (keys, rows, values)
        )

    def of_class(self, column: int) -> list[tuple[int, float]]:
        kept_K = np.isfinite(self._keys_KC[:, column])
        return list(zip(self._rows_KC[kept_K, column].tolist(), self._values_KC[kept_K, column].tolist(), strict=True))


def check_sheet(path: Path) -> None:
    """Raise ResultsError if a sheet cannot be written as such a file."""
    if path.suffix.lower() not in SUFFIXES:
        raise ResultsError(f"{path}: expected a contact sheet that ends in .html, .png or .jpg")


def write_sheet(path: Path, picks: Picks, source: ImageFiles, *, model: str) -> None:
    """Write the contact sheet of what was decided.

    Args:
        path: an .html page, or a .png or .jpg picture.
        picks: of the images.
        source: the images.
        model: its name.

    Raises:
        ResultsError: it cannot be written.
    """
    sheet = _contact_sheet(picks, source, model)
    if path.suffix.lower() == ".html":
        write_whole(path, render_sheet(sheet).encode())
    else:
        write_whole(path, draw_sheet(sheet, "PNG" if path.suffix.lower() == ".png" else "JPEG"))


def _contact_sheet(picks: Picks, source: ImageFiles, model: str) -> ContactSheet:
    rules = picks.decider.rules
    decided = [column for column, rule in enumerate(rules.classes) if rule.threshold is not None]
    return ContactSheet(
        model=model,
        num_images=picks.num_images,
        target=str(rules.target),
        rows=tuple(_row(picks, column, source) for column in decided[:MOST_CLASSES]),
        left_out=tuple(rules.classes[column].name for column in decided[MOST_CLASSES:]),
        without=tuple((rule.name, rule.why_none or "") for rule in rules.without),
        warnings=rules.warnings,
    )


def _row(picks: Picks, column: int, source: ImageFiles) -> SheetRow:
    rule = picks.decider.rules.classes[column]
    found = picks.of_class(column)
    open_picture = picture_opener(source)
    probabilities_KC = np.zeros((len(found), len(picks.decider.threshold_C)))
    probabilities_KC[:, column] = [probability for _, probability in found]
    calibrated_K = picks.decider.calibrated(probabilities_KC)[:, column].tolist()
    borderline_K = picks.decider.borderline(probabilities_KC)[:, column].tolist()
    decisions_K = (picks.decider.decisions(probabilities_KC)[:, column] == YES).tolist()
    return SheetRow(
        name=rule.name,
        num_yes=picks.num_decided()[rule.name],
        num_borderline=picks.num_borderline(column),
        threshold=threshold_text(rule.threshold),
        precision=interval_text(rule.precision),
        recall=interval_text(rule.recall),
        shown=tuple(
            Shown(
                image=source.names[row],
                picture=thumbnail(open_picture(row)),
                probability=probability,
                calibrated=calibrated,
                yes=yes,
                borderline=borderline,
            )
            for (row, probability), calibrated, yes, borderline in zip(
                found, calibrated_K, decisions_K, borderline_K, strict=True
            )
        ),
    )
