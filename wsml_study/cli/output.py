"""How commands print tables or write them to files, in the format that the user chooses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsml_study.errors import ResultsError, printable
from wsml_study.record.formats import Format, format_of, rendered, write_new

if TYPE_CHECKING:
    import pyarrow as pa

FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="Output format. Default: by the suffix of the output file, else a table."),
]
OutputFile = Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file instead of printing.")]


def say(line: object) -> None:
    """Print a line with terminal control characters escaped."""
    print(printable(str(line)))


def deliver(table: pa.Table, form: Format | None, output: Path | None) -> None:
    """Print a table, or write it to a file.

    Raises:
        ResultsError: as `deliver_rendered`.
    """
    deliver_rendered(lambda chosen: rendered(table, chosen), form, output)


def deliver_rendered(render: Callable[[Format], bytes], form: Format | None, output: Path | None) -> None:
    """Print what a function renders in the chosen format, or write it to a file.

    Raises:
        ResultsError: the format is Parquet and standard output is a terminal, or the file exists.
    """
    form = form or format_of(output)
    content = render(form)
    if output is not None:
        write_new(output, content)
        say(output)
        return
    if form is Format.PARQUET and sys.stdout.isatty():
        raise ResultsError(
            "Parquet is a binary format and cannot be shown on a terminal; name a file with -o, or redirect with | or >"
        )
    if sys.stdout.isatty():
        content = printable(content.decode()).encode()
    sys.stdout.buffer.write(content)
