"""Chosen columns of a CSV table that a dataset's release has, with the line of each row."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsml_study.data.problem_list import Problems
from wsml_study.errors import DataError


@dataclass(frozen=True)
class CsvRow:
    """A row.

    Attributes:
        where: file and line, for messages.
        cells: of the chosen columns, without blanks around them.
    """

    where: str
    cells: tuple[str, ...]


def read_columns(file: Path, columns: Sequence[str], *, remedy: str) -> tuple[list[CsvRow], Problems]:
    """Rows of a table, and problems with lines that are too short or too long.

    Args:
        file: with a heading; UTF-8, LF or CRLF.
        columns: names in the heading, in the order in which cells are wanted.
        remedy: where the file comes from, for errors.

    Raises:
        DataError: the file cannot be read, or lacks a column or all rows.
    """
    problems, rows = Problems(), list[CsvRow]()
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            reader = csv.reader(stream)
            heading = [name.strip() for name in next(reader, [])]
            if lacking := [name for name in columns if name not in heading]:
                raise DataError(
                    f"{file}:1: no column {', '.join(lacking)}; it has {', '.join(heading[:20]) or 'none'}; {remedy}"
                )
            places = [heading.index(name) for name in columns]
            for cells in reader:
                where = f"{file.name}:{reader.line_num}"
                if len(cells) == len(heading):
                    rows.append(CsvRow(where, tuple(cells[place].strip() for place in places)))
                elif cells:
                    problems.add("cells", f"{where}: expected {len(heading)} cells, got {len(cells)}")
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}; {remedy}") from error
    except csv.Error as error:
        raise DataError(f"{file}: expected a CSV table: {error}; {remedy}") from error
    if not rows and not problems:
        raise DataError(f"{file}: expected a row per image below the heading, got none; {remedy}")
    return rows, problems
