"""How commands print tables or write them to files, in the format that the user chooses."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TextIO

import typer
from rich.console import Console

from wsml_study.errors import ResultsError, printable
from wsml_study.record.formats import Format, format_of, rendered, write_new
from wsml_study.record.line_width import fitted

if TYPE_CHECKING:
    import pyarrow as pa

FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="Output format. Default: by the suffix of the output file, else a table."),
]
OutputFile = Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file instead of printing.")]


def say(line: object, file: TextIO | None = None) -> None:
    """Print a line with terminal control characters escaped; on a terminal, fitted to its width."""
    file = file or sys.stdout
    text = printable(str(line))
    if file.isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(part for one in text.split("\n") for part in fitted(one, width))
    print(text, file=file)


def show(console: Console, lines: Iterable[str]) -> None:
    """Print lines; on a terminal, fitted to its width."""
    for line in lines:
        parts = fitted(printable(line), console.width) if console.is_terminal else [printable(line)]
        for part in parts:
            console.print(part, highlight=False, markup=False, soft_wrap=True)


class Findings(Protocol):
    """What a command found, for people and for programs."""

    def lines(self) -> Iterable[str]:
        """As text."""

    def as_json(self) -> dict[str, Any]:
        """As plain data."""


def say_findings(found: Findings, *, as_json: bool) -> None:
    """Print findings as text, or as one JSON object."""
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return
    for line in found.lines():
        say(line)


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
