"""Rows and columns of a table in a file of any origin: CSV, TSV, CelebA's list, Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from wsml_study.data.embedded_images import holds_images
from wsml_study.data.foreign_exports import export_advice
from wsml_study.data.problem_list import Problems, shown
from wsml_study.data.text_lines import not_utf8, read_text
from wsml_study.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
EXCEL_SEPARATOR = re.compile(r'"?sep=(.)"?\1*(?:\r?\n|\r)', re.IGNORECASE)
"""The first line that Excel understands; saved again by it, the line is filled up with separators."""

NUMBERED = re.compile(r"-\d+-of-(\d+)$")
"""How files of one table are numbered, and how many there are."""

ROWS_COMPARED = 200
GIVE_TABLE = "give the table as `file` under data.labels"


class _Binary:
    """Stands for a cell of bytes, which nothing here needs and no message may show."""


BINARY = _Binary()


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        where: for messages.
        cells: by column: text, nothing being ""; or what Parquet has instead, such as a list, or BINARY.
    """

    where: str
    cells: dict[str, object]

    def text(self, column: str) -> str:
        """A cell as text, without blanks around it."""
        cell = self.cells[column]
        return cell.strip() if isinstance(cell, str) else ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        columns: names, in order.
        rows: as far as they could be read.
        problems: of lines that could not; the reader adds its own and raises them.
        notices: how the file was understood where it is not the usual way.
        repeated: names that several columns have; their cells cannot be distinguished.
        binary: columns that hold bytes.
        embedded: those whose cells can be image files.
        parts: the Parquet files that the table consists of.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    problems: Problems
    notices: list[str] = field(default_factory=list)
    repeated: tuple[str, ...] = ()
    binary: frozenset[str] = frozenset()
    embedded: tuple[str, ...] = ()
    parts: tuple[Path, ...] = ()


def open_table(file: Path, *, encoding: str | None) -> Table:
    """Read a table.

    Args:
        file: .csv, .tsv, .txt (tabs) or .parquet; a table in several Parquet files is named by its folder, or by a name
            with `*` in it, such as train-*.parquet.
        encoding: of text that is neither UTF-8 nor UTF-16.

    Raises:
        DataError: the file is missing, or is no table.
    """
    suffix = file.suffix.lower()
    if suffix == ".parquet" or file.is_dir():
        return _open_parquet(file)
    if suffix not in DELIMITERS:
        advice = export_advice(file) or (
            "save it as `CSV UTF-8`" if suffix in (".xlsx", ".xls", ".ods") else "expected text or Parquet"
        )
        raise DataError(f"{file}: expected a .csv, .tsv, .txt (tabs) or .parquet file; {advice}")
    read = read_text(file, encoding=encoding, remedy=GIVE_TABLE)
    problems, notices = Problems(), list[str]()
    if read.guessed is not None:
        problems.add("encoding", not_utf8(read.guessed))
    if encoding is not None and read.encoding == encoding:
        notices.append(f"{file.name} is read as {encoding}, as `encoding` says")
    celeba = _celeba(file, read.text, problems)
    if celeba is not None:
        return celeba
    text, skipped = read.text, 0
    if found := EXCEL_SEPARATOR.match(text):
        delimiter, text, skipped = found[1], text[found.end() :], 1
    else:
        delimiter = _delimiter(file, text, DELIMITERS[suffix])
    if delimiter != DELIMITERS[suffix]:
        notices.append(f"{file.name} is separated by {delimiter!r}")
    return _read_csv(file, text, delimiter, skipped, problems, notices)


def _delimiter(file: Path, text: str, usual: str) -> str:
    """The usual delimiter, or another one if it is the only one that makes all lines equally long."""

    def widths(mark: str) -> list[int]:
        try:
            rows = list(islice(csv.reader(io.StringIO(text, newline=""), delimiter=mark), ROWS_COMPARED))
        except csv.Error:
            return []
        return [len(row) for row in rows if row]

    def fits(mark: str) -> bool:
        found = widths(mark)
        return len(set(found)) == 1 and found[0] > 1

    others = [mark for mark in (";", "\t", ",", "|") if mark != usual and fits(mark)]
    if not others:
        return usual
    first_cell = next(csv.reader(io.StringIO(text, newline=""), delimiter=usual), [""])[0]
    if not fits(usual):
        return max(others, key=lambda mark: widths(mark)[0])
    if doubtful := [mark for mark in others if mark in first_cell]:
        raise DataError(
            f"{file}: it may be separated by {usual!r} or by {doubtful[0]!r}; say which in a first line such as "
            f"sep={doubtful[0]}"
        )
    return usual


def _read_csv(file: Path, text: str, delimiter: str, skipped: int, problems: Problems, notices: list[str]) -> Table:
    # Not splitlines(): cells may hold any character but a line end.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = blank = 0
    columns: list[str] = []
    try:
        columns = [column.strip() for column in next(reader, [])]
        line = reader.line_num
        for cells in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in cells):
                blank += len(cells) > 0
            elif len(cells) == len(columns):
                rows.append((line + skipped, cells))
            else:
                problems.add(
                    "lines that are too short or too long",
                    f"{file.name}:{line + skipped}: expected {len(columns)} cells, got {len(cells)}",
                    remedy=f"mend these lines; nothing was read (cells are separated by {delimiter!r})",
                )
    except csv.Error as error:
        problems.add("CSV", f"{file.name}:{line + skipped + 1}: {error}", remedy="mend this line; nothing was read")
    if blank:
        notices.append(f"{blank:,} blank rows of {file.name} are left out")
    kept = [
        place
        for place, name in enumerate(columns)
        if name or not rows or any(cells[place].strip() for _, cells in rows)
    ]
    if len(kept) < len(columns):
        number = len(columns) - len(kept)
        told = "a column" if number == 1 else f"{number} columns"
        notices.append(f"left out of {file.name}: {told} without a name and without content")
    columns = [columns[place] for place in kept]
    return Table(
        columns=tuple(columns),
        rows=[
            Row(f"{file.name}:{number}", dict(zip(columns, (cells[place] for place in kept), strict=True)))
            for number, cells in rows
        ],
        problems=problems,
        notices=notices,
        repeated=tuple(sorted(name for name, count in Counter(columns).items() if count > 1)),
    )


def _celeba(file: Path, text: str, problems: Problems) -> Table | None:
    """CelebA's own form: a count, a heading without the image, and blanks between cells."""
    lines = text.replace("\r\n", "\n").split("\n")
    if len(lines) < 3 or not lines[0].strip().isdecimal():
        return None
    classes = lines[1].split()
    if len(lines[2].split()) != len(classes) + 1:
        return None
    columns = ("image", *classes)
    rows = []
    for number, line in enumerate(lines[2:], start=3):
        cells = line.split()
        if len(cells) == len(columns):
            rows.append(Row(f"{file.name}:{number}", dict(zip(columns, cells, strict=True))))
        elif cells:
            problems.add("lines", f"{file.name}:{number}: expected {len(columns)} cells, got {len(cells)}")
    if len(rows) != int(lines[0]):
        problems.add("count", f"{file.name}:1: expected {int(lines[0]):,} images, as this line says, got {len(rows):,}")
    return Table(
        columns=columns,
        rows=rows,
        problems=problems,
        notices=[f"{file.name} has CelebA's form: a count, a heading, and blanks between cells"],
        repeated=tuple(sorted(name for name, count in Counter(columns).items() if count > 1)),
    )


def _open_parquet(file: Path) -> Table:
    parts = parquet_files(file)
    schema = _schema(parts)
    columns = tuple(schema.names)
    binary = frozenset(name for name in columns if _holds_bytes(schema.field(name).type))
    names = _class_names(schema.metadata or {})
    rows = [row for part in parts for row in _parquet_rows(part, columns, binary, names, several=len(parts) > 1)]
    return Table(
        columns=columns,
        rows=rows,
        problems=Problems(),
        notices=[f"classes of {shown(name)} are called as its Hugging Face features say" for name in names],
        repeated=tuple(sorted(name for name, count in Counter(columns).items() if count > 1)),
        binary=binary,
        embedded=tuple(name for name in columns if holds_images(schema.field(name).type)),
        parts=parts,
    )


def parquet_files(file: Path) -> tuple[Path, ...]:
    """The files of a table in Parquet: one, those of a folder, or those that a name with `*` stands for, sorted.

    Raises:
        DataError: there is none, or some are missing, as their names say (train-00000-of-00003.parquet).
    """
    if file.is_dir():
        found = sorted(file.glob("*.parquet"))
    else:
        found = sorted(file.parent.glob(file.name)) if "*" in file.name else [file]
    if not found:
        raise DataError(f"{file}: expected Parquet files, found none")
    counts = {int(numbered[1]) for one in found if (numbered := NUMBERED.search(one.stem)) is not None}
    if len(found) > 1 and counts and sum(counts) > len(found):
        raise DataError(f"{file}: expected {sum(counts)} files, as their names say, found {len(found)}")
    return tuple(found)


def _schema(parts: tuple[Path, ...]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = []
    for part in parts:
        try:
            schemas.append(pq.read_schema(part))
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"{part}: cannot be read as Parquet: {error}") from error
        if schemas[-1].names != schemas[0].names:
            raise DataError(
                f"{part}: expected the columns of {parts[0].name}, {', '.join(schemas[0].names[:20])}; it has "
                f"{', '.join(schemas[-1].names[:20])}"
            )
    return schemas[0]


def _parquet_rows(
    file: Path, columns: tuple[str, ...], binary: frozenset[str], names: dict[str, list[str]], *, several: bool
) -> Iterator[Row]:
    """The rows of a file; bytes are not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            num_rows = opened.metadata.num_rows
            numbers = [number for number, name in enumerate(columns) if name not in binary]
            content = opened.read(columns=[columns[number] for number in numbers])
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{file}: cannot be read as Parquet: {error}") from error
    read = dict(zip(numbers, content.columns, strict=True))
    cells = [
        [_cell(one, names.get(name)) for one in read[number].to_pylist()] if number in read else [BINARY] * num_rows
        for number, name in enumerate(columns)
    ]
    where = f"{file.name}: " if several else ""
    for number, row in enumerate(zip(*cells, strict=True) if cells else ()):
        yield Row(f"{where}row {number}", dict(zip(columns, row, strict=True)))


def _holds_bytes(kind: Any) -> bool:
    import pyarrow as pa

    if any(
        is_of(kind)
        for is_of in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_fixed_size_binary,
            pa.types.is_binary_view,
        )
    ):
        return True
    if pa.types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _holds_bytes(kind.storage_type)
    return any(_holds_bytes(kind.field(number).type) for number in range(kind.num_fields))


def _cell(cell: object, names: list[str] | None) -> object:
    """Text, or a list; numbers of classes by their names."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):  # how pandas keeps a blank cell
        return ""
    if isinstance(cell, list):
        return [_cell(one, names) if names is not None else one for one in cell]
    if isinstance(cell, dict):
        return cell
    if isinstance(cell, bool):
        return str(int(cell))
    if names is not None and isinstance(cell, int) and 0 <= cell < len(names):
        return names[cell]
    return str(cell)


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Names of classes by column, which Hugging Face's `datasets` writes beside columns of their numbers."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {column: names for column, feature in features.items() for names in _labels_in(feature)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _labels_in(feature: Any) -> Iterator[list[str]]:
    if isinstance(feature, list):
        feature = {"feature": feature[0]} if feature else {}
    if isinstance(feature, dict):
        if feature.get("_type") == "ClassLabel":
            yield [str(name) for name in feature["names"]]
        elif "feature" in feature:
            yield from _labels_in(feature["feature"])
