"""Tables as text for people, as CSV, JSON or Parquet for programs, and as LaTeX or Markdown for papers and pages."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_whole
from wsml_study.record.markup import cell_text, latex, markdown

if TYPE_CHECKING:
    import pyarrow as pa

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet evaluate a cell of a CSV file as a formula."""

HOLDS_JSON = ("values", "config")
"""Columns of a trials table whose text is JSON."""


class Format(StrEnum):
    """Output format of a table."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    LATEX = "latex"
    MARKDOWN = "markdown"


FOR_PROGRAMS = (Format.CSV, Format.JSON, Format.PARQUET)
"""Formats that hold every column, unrounded."""

SUFFIXES = {
    "csv": Format.CSV,
    "json": Format.JSON,
    "parquet": Format.PARQUET,
    "tex": Format.LATEX,
    "md": Format.MARKDOWN,
}
"""Suffix of a file name -> its format."""


def format_of(path: Path | None) -> Format:
    """The format of a file name's suffix; `TABLE` by default."""
    suffix = "" if path is None else path.suffix.removeprefix(".").lower()
    return SUFFIXES.get(suffix, Format.TABLE)


def write_new(path: Path, content: bytes) -> None:
    """Write a new file; an existing one with the same content is accepted.

    Raises:
        ResultsError: the file exists with other content, or cannot be written.
    """
    if path.exists() and (not path.is_file() or path.read_bytes() != content):
        raise ResultsError(f"{path} exists and differs from what would be written; move it, or name another file")
    write_whole(path, content)


def rendered(table: pa.Table, form: Format) -> bytes:
    """A table in a format. Only Parquet keeps column types and metadata; text in CSV is escaped by `csv_text`."""
    match form:
        case Format.CSV:
            import pyarrow.csv  # imported late: the command line needs this module's formats for --help

            sink = io.BytesIO()
            pyarrow.csv.write_csv(_without_formulas(table), sink)
            return sink.getvalue()
        case Format.JSON:
            rows = [{name: _plain(name, value) for name, value in row.items()} for row in table.to_pylist()]
            return (json.dumps(rows, indent=2, default=str) + "\n").encode()
        case Format.PARQUET:
            import pyarrow.parquet

            sink = io.BytesIO()
            pyarrow.parquet.write_table(table, sink, compression="zstd")
            return sink.getvalue()
        case Format.TABLE | Format.LATEX | Format.MARKDOWN:
            return written(_texts(table), form)


def written(columns: Mapping[str, Sequence[str]], form: Format) -> bytes:
    """Columns of text, names first, in a format for people: `TABLE`, `LATEX` or `MARKDOWN`."""
    match form:
        case Format.LATEX:
            return f"{latex(columns)}\n".encode()
        case Format.MARKDOWN:
            return f"{markdown(columns)}\n".encode()
    return "".join(f"{line}\n" for line in aligned(columns)).encode()


def _texts(table: pa.Table) -> dict[str, list[str]]:
    return {field.name: [number(value) for value in table[field.name].to_pylist()] for field in table.schema}


def csv_text(text: str) -> str:
    """Text for a cell of a CSV file, with `'` in front if a spreadsheet would evaluate it as a formula.

    Numbers stay as they are, negative ones included. Parquet and JSON keep all text as it is.

    >>> csv_text("=cmd()"), csv_text("-0.5"), csv_text("-"), csv_text("cat.jpg")
    ("'=cmd()", '-0.5', '-', 'cat.jpg')
    """
    if not text.startswith(FORMULA_STARTS) or len(text) == 1:
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def _without_formulas(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    columns = [
        pa.array([None if value is None else csv_text(value) for value in column.to_pylist()], pa.string())
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, names=[csv_text(name) for name in table.column_names])


def aligned(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Columns of text as aligned lines of any length, names first; line ends and tabs within a cell are escaped."""
    cells = [[cell_text(text) for text in (name, *values)] for name, values in columns.items()]
    # Widths are those on a terminal, where a wide character takes two columns. rich.table gives the same lines but
    # takes 100 times as long: 4 s for 2,000 trials, measured on 2 busy cores.
    widths = [max(map(cell_len, column)) for column in cells]
    padded = [[set_cell_size(cell, width) for cell in column] for column, width in zip(cells, widths, strict=True)]
    return ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]


def number(value: object) -> str:
    """A value with four significant digits, whole numbers without decimals, absent values as a dash."""
    if value is None or value != value:  # NaN
        return "-"
    if isinstance(value, float):
        return str(int(value)) if value == int(value) and abs(value) >= 1 else f"{value:.4g}"
    return str(value)


def percent(value: float | None) -> str:
    """Percentage points with two decimals, absent values as a dash."""
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def _plain(name: str, value: Any) -> Any:
    if name in HOLDS_JSON and isinstance(value, str):
        return json.loads(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
