"""How commands hand tables on: on the screen or to other programs, in a format of choice."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsml_study.errors import ResultsError, printable
from wsml_study.record.formats import Format, format_of, rendered, write_new

if TYPE_CHECKING:
    import pyarrow as pa

FormatOption = Annotated[
    Format | None, typer.Option("--format", help="By default what the output file's name ends in, else a table.")
]
OutputFile = Annotated[Path | None, typer.Option("-o", "--output", help="Write into this file instead.")]


def say(line: object) -> None:
    """Print a line, with what a terminal would obey escaped."""
    print(printable(str(line)))


def deliver(table: pa.Table, form: Format | None, output: Path | None) -> None:
    """Print a table, or write it into a file.

    Raises:
        ResultsError: Parquet is to go to a terminal, or the file is there already.
    """
    form = form or format_of(output)
    if output is not None:
        write_new(output, rendered(table, form))
        say(output)
        return
    if form is Format.PARQUET and sys.stdout.isatty():
        raise ResultsError("Parquet is nothing to read on a terminal; name a file with -o, or send it on with | or >")
    content = rendered(table, form)
    if sys.stdout.isatty():
        content = printable(content.decode()).encode()
    sys.stdout.buffer.write(content)
