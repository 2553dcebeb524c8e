"""A table of the user's own: CSV, TSV or Parquet, an image a row.

Either each class has a column with 1, 0 or nothing (present, absent, not annotated), or one column lists the classes
that are present and perhaps another one those that are absent.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsml_study.data.dataset import Dataset
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED
from wsml_study.data.lists import read_class_names
from wsml_study.data.own_labels import PARTS, Labelled, own_dataset
from wsml_study.data.problem_list import data_error
from wsml_study.errors import DataError

STATES = {"1": POSITIVE, "1.0": POSITIVE, "0": NEGATIVE, "0.0": NEGATIVE, "": UNOBSERVED}
DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        where: for messages.
        cells: by column, as text; nothing is "".
    """

    where: str
    cells: dict[str, str]


def read_table_dataset(root: Path, files: LabelFiles) -> Dataset:
    """Images of the user's own with labels in a table.

    Raises:
        DataError: a file or image is missing or malformed.
    """
    classes = None if files.classes is None else read_class_names(Path(files.classes))
    first = read_table(Path(files.file), files, classes)
    second = None if files.test_file is None else read_table(Path(files.test_file), files, classes or first.classes)
    return own_dataset("table", root, files, first, second)


def read_table(file: Path, files: LabelFiles, classes: tuple[str, ...] | None) -> Labelled:
    """Labels of a table.

    Args:
        file: .csv, .tsv, .txt (tabs) or .parquet.
        files: which column is what.
        classes: C names in the order wanted; None for those of the table, in its order, or sorted if listed.

    Raises:
        DataError: all cells that cannot be understood, or the lack of a column.
    """
    columns, rows = _open(file)
    image_column = files.image_column or (columns[0] if columns else "")
    named = [image_column, *filter(None, (files.split_column, files.positives_column, files.negatives_column))]
    if lacking := [column for column in named if column not in columns]:
        raise DataError(f"{file}: no column {', '.join(lacking)}; it has {', '.join(columns[:20]) or 'none'}")
    problems: list[str] = []
    table = list(rows)
    if not table:
        raise DataError(f"{file}: expected a row per image below the heading, got none")
    names = tuple(row.cells[image_column].strip() for row in table)
    problems += [
        f"{row.where}: {image_column}: expected an image file"
        for row, name in zip(table, names, strict=True)
        if not name
    ]
    if files.positives_column is None:
        classes = classes or tuple(column for column in columns if column not in named)
        if lacking := [name for name in classes if name not in columns]:
            raise DataError(f"{file}: no column for the classes {', '.join(lacking[:10])}")
        labels = [[_state(row, name, problems) for name in classes] for row in table]
    else:
        classes, labels = _listed_labels(table, files, classes, problems)
    if not classes:
        raise DataError(f"{file}: expected a column per class beside {image_column}, or `positives_column`; found none")
    parts = None if files.split_column is None else tuple(_part(row, files.split_column, problems) for row in table)
    if problems:
        raise data_error(file, problems, remedy="mend these cells; nothing was read")
    return Labelled(
        file=file,
        classes=classes,
        names=names,
        labels_NC=np.array(labels, dtype=np.int8).reshape(len(table), len(classes)),
        parts_N=parts,
    )


def image_column(file: Path) -> list[str]:
    """The image files that a table's first column names.

    Raises:
        DataError: the table cannot be read.
    """
    columns, rows = _open(file)
    return [row.cells[columns[0]].strip() for row in rows]


def _listed_labels(
    table: list[Row], files: LabelFiles, classes: tuple[str, ...] | None, problems: list[str]
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Labels of columns that list the names of classes."""
    assert files.positives_column is not None
    positives = [_names(row, files.positives_column, files.separator) for row in table]
    negatives = [_names(row, files.negatives_column, files.separator) for row in table]
    known = classes or tuple(sorted(set().union(*positives, *negatives)))
    unlisted = NEGATIVE if files.unlisted == "negative" else UNOBSERVED
    labels = []
    for row, present, absent in zip(table, positives, negatives, strict=True):
        problems += [f"{row.where}: {name} is no class of the list" for name in sorted((present | absent) - set(known))]
        problems += [f"{row.where}: {name} is listed as present and as absent" for name in sorted(present & absent)]
        labels.append([POSITIVE if name in present else NEGATIVE if name in absent else unlisted for name in known])
    return known, labels


def _names(row: Row, column: str | None, separator: str) -> set[str]:
    return set() if column is None else {name.strip() for name in row.cells[column].split(separator)} - {""}


def _state(row: Row, column: str, problems: list[str]) -> int:
    text = row.cells[column].strip()
    if text not in STATES:
        problems.append(f"{row.where}: {column}: expected 1, 0 or nothing, got {text!r}")
    return STATES.get(text, UNOBSERVED)


def _part(row: Row, column: str, problems: list[str]) -> str:
    text = row.cells[column].strip().lower()
    if text not in PARTS:
        problems.append(f"{row.where}: {column}: expected train, validation or test, got {text!r}")
    return PARTS.get(text, "")


def _open(file: Path) -> tuple[list[str], Iterator[Row]]:
    if file.suffix == ".parquet":
        return _open_parquet(file)
    if file.suffix not in DELIMITERS:
        raise DataError(f"{file}: expected a .csv, .tsv, .txt (tabs) or .parquet file")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}; give the table as `file` under data.labels") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: expected text in UTF-8: {error}; save it as UTF-8") from error
    # Not splitlines(): cells may hold any character but a line end.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[file.suffix], strict=True)
    columns = [column.strip() for column in next(reader, [])]
    if repeated := sorted({column for column in columns if columns.count(column) > 1}):
        raise DataError(f"{file}:1: expected each column once, got {', '.join(map(repr, repeated))} more than once")
    return columns, _csv_rows(file, reader, columns)


def _csv_rows(file: Path, reader: Iterator[list[str]], columns: list[str]) -> Iterator[Row]:
    problems = []
    line = 1
    try:
        for cells in reader:
            line = reader.line_num  # type: ignore[attr-defined]
            if not cells:
                continue
            if len(cells) != len(columns):
                problems.append(f"{file.name}:{line}: expected {len(columns)} cells, got {len(cells)}")
                continue
            yield Row(where=f"{file.name}:{line}", cells=dict(zip(columns, cells, strict=True)))
    except csv.Error as error:
        problems.append(f"{file.name}:{line + 1}: {error}")
    if problems:
        raise data_error(file, problems, remedy="mend these lines; nothing was read")


def _open_parquet(file: Path) -> tuple[list[str], Iterator[Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{file}: cannot be read as Parquet: {error}") from error
    columns = content.column_names
    rows = zip(*(column.to_pylist() for column in content.columns), strict=True)
    return columns, (
        Row(where=f"row {number}", cells={name: _text(cell) for name, cell in zip(columns, cells, strict=True)})
        for number, cells in enumerate(rows)
    )


def _text(cell: object) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):  # how pandas keeps a blank cell
        return ""
    return str(int(cell)) if isinstance(cell, bool) else str(cell)
