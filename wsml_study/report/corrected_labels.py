"""A table of labels with people's answers written in: the user's own table, or else a table of the dataset."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsml_study.data.cell_lists import listed
from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.hub_files import local_path
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.label_states import NEGATIVE, POSITIVE, Labels, dense_rows
from wsml_study.data.observation import training_labels
from wsml_study.data.table_file import Row, Table, open_table
from wsml_study.errors import DataError
from wsml_study.record.questions import Reply
from wsml_study.report.study_dataset import dataset_of
from wsml_study.study.data_section import Data

Replies = Mapping[tuple[str, str], Reply]
"""(image, class) -> what people's answers come to."""

STATES: dict[str, int] = {"yes": POSITIVE, "no": NEGATIVE}


@dataclass(frozen=True, kw_only=True)
class CorrectedLabels:
    """A corrected table.

    Attributes:
        text: CSV with commas.
        filled: unobserved labels that have become known.
        turned: given labels that have changed.
        confirmed: given labels that people agree with.
        left: answers "cannot say", and disputed ones: these labels stay as they were.
        unwritten: answers no that the form of the table cannot hold, or about images that it lacks.
        is_own: whether it is the user's own table, with all its columns.
    """

    text: str
    filled: int
    turned: int
    confirmed: int
    left: int
    unwritten: int
    is_own: bool

    def lines(self) -> Iterator[str]:
        """What has changed."""
        yield (
            f"{self.filled:,} unobserved labels are known now, {self.turned:,} given ones are turned, "
            f"{self.confirmed:,} are confirmed; {self.left:,} answers leave the label as it was"
        )
        if self.unwritten:
            yield f"{self.unwritten:,} answers could not be written: the table lists positives only, or lacks the image"


def corrected_labels(data: Data, replies: Replies) -> CorrectedLabels:
    """Write answers into labels.

    Args:
        data: section of the study.
        replies: what to write.

    Raises:
        DataError: the data are not there, or are no image files.
    """
    dataset = dataset_of(data)
    if not isinstance(dataset.train.images, ImageFiles):
        raise DataError(
            f"{data.dataset.value}: answers are written into tables of image files, and this dataset has none; change "
            f"the labels where they come from"
        )
    places = _places(dataset.train, replies, dataset.classes)
    observed_NC = training_labels(dataset, **data.observe.model_dump())
    states = {pair: int(dense_rows(observed_NC, np.array([row]))[0, c]) for pair, (row, c) in places.items()}
    files = data.labels
    own = None
    if data.dataset.value == "table" and files is not None:
        own = open_table(local_path(files.file), encoding=files.encoding)
        own = own if (files.positives_column or set(dataset.classes) <= set(own.columns)) else None
        own = None if own is not None and own.embedded else own  # a table of text holds no images
    decided = {pair: STATES[replies[pair]] for pair in places if replies[pair] in STATES}
    if own is None or files is None:
        text, unwritten = _table_of(dataset, data, dense_rows(observed_NC, np.arange(len(dataset.train))), decided), 0
    else:
        text, unwritten = _own_table(own, files, Path(data.root or "."), decided)
    changes = [(states[pair], state) for pair, state in decided.items()]
    return CorrectedLabels(
        text=text,
        filled=sum(before == 0 for before, _ in changes) - unwritten,
        turned=sum(before == -after for before, after in changes),
        confirmed=sum(before == after for before, after in changes),
        left=sum(reply not in STATES for reply in replies.values()),
        unwritten=unwritten + sum(pair not in places and replies[pair] in STATES for pair in replies),
        is_own=own is not None,
    )


def _places(train: Split, replies: Replies, classes: tuple[str, ...]) -> dict[tuple[str, str], tuple[int, int]]:
    """Row and column of each pair that the dataset has."""
    rows = {name: row for row, name in enumerate(train.names)}
    columns = {name: c for c, name in enumerate(classes)}
    return {(image, name): (rows[image], columns[name]) for image, name in replies if image in rows and name in columns}


def _own_table(table: Table, files: LabelFiles, root: Path, decided: Mapping[tuple[str, str], int]) -> tuple[str, int]:
    """The user's table with the decided states, and how many it cannot hold."""
    image_column = files.image_column or table.columns[0]
    by_image: dict[str, dict[str, int]] = {}
    for (image, name), state in decided.items():
        by_image.setdefault(image, {})[name] = state
    unwritten = 0
    lines = []
    for row in table.rows:
        cells = {column: _text(row.cells[column], files.separator) for column in table.columns}
        states = by_image.get(_image(row.text(image_column), root), {})
        if files.positives_column is None:
            cells |= {name: "1" if state == POSITIVE else str(files.absent or 0) for name, state in states.items()}
        elif states:
            lists, lost = _lists(row, files, states)
            cells |= lists
            unwritten += lost
        lines.append([cells[column] for column in table.columns])
    return _csv([list(table.columns), *lines]), unwritten


def _image(name: str, root: Path) -> str:
    return os.path.relpath(name, root.absolute()) if name.startswith("/") else name


def _text(cell: object, separator: str) -> str:
    if isinstance(cell, list):
        return separator.join(map(str, cell))
    return cell if isinstance(cell, str) else ""


def _lists(row: Row, files: LabelFiles, states: Mapping[str, int]) -> tuple[dict[str, str], int]:
    """The cells that list classes, with these states, and how many states they cannot hold."""
    assert files.positives_column is not None
    present = [name for name in listed(row.cells[files.positives_column], files.separator) if name not in states]
    present += [name for name, state in states.items() if state == POSITIVE]
    if any(state == POSITIVE for state in states.values()):
        present = [name for name in present if name != files.no_class]
    cells = {files.positives_column: files.separator.join(present)}
    negatives = [name for name, state in states.items() if state == NEGATIVE]
    if files.negatives_column is not None:
        absent = [name for name in listed(row.cells[files.negatives_column], files.separator) if name not in states]
        cells[files.negatives_column] = files.separator.join([*absent, *negatives])
        return cells, 0
    return cells, 0 if files.unlisted == "negative" else len(negatives)


def _table_of(dataset: Dataset, data: Data, train_NC: Labels, decided: Mapping[tuple[str, str], int]) -> str:
    """A table of the whole dataset: names relative to the root, split, and a column per class."""
    rows = {name: row for row, name in enumerate(dataset.train.names)}
    columns = {name: c for c, name in enumerate(dataset.classes)}
    states_NC = train_NC.copy()
    for (image, name), state in decided.items():
        states_NC[rows[image], columns[name]] = state
    validation = set(dataset.validation_rows or ())
    parts = ["validation" if row in validation else "train" for row in range(len(dataset.train))]
    test_NC = dense_rows(dataset.test.labels_NC, np.arange(len(dataset.test)))
    lines = [["image", "split", *dataset.classes]]
    for split, labels_NC, parts_N in (
        (dataset.train, states_NC, parts),
        (dataset.test, test_NC, ["test"] * len(dataset.test)),
    ):
        assert isinstance(split.images, ImageFiles)
        for name, states_C, part in zip(split.images.names, labels_NC.tolist(), parts_N, strict=True):
            path = os.path.relpath(split.images.folder / name, data.root or ".")
            lines.append([path, part, *({1: "1", -1: "0", 0: ""}[state] for state in states_C)])
    return _csv(lines)


def _csv(lines: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
