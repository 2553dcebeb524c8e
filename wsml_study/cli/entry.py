"""The program `wsml-study`: all commands, and the exit status."""

from __future__ import annotations

import os
import signal
import stat
import sys
from types import FrameType
from typing import Annotated

import typer

from wsml_study.cli import (
    answers,
    audit,
    cluster,
    data,
    evidence,
    hub,
    knowledge,
    live,
    mcp,
    model_server,
    models,
    paper,
    pseudo_labelling,
    references,
    studies,
)
from wsml_study.cli.output import say
from wsml_study.errors import WsmlStudyError

app = typer.Typer(
    help="Find out by experiment how a weakly supervised multi-label classifier should treat its unobserved labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    studies,
    cluster,
    knowledge,
    live,
    answers,
    audit,
    evidence,
    paper,
    models,
    model_server,
    references,
    hub,
    mcp,
    pseudo_labelling,
):
    app.add_typer(group.app)
app.add_typer(data.app, name="data", rich_help_panel=references.PANEL)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"wsml-study {version('wsml-study')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""
    del version


def main() -> None:
    """Entry point: an error that the user can correct is printed without a traceback, with exit status 1.

    SIGTERM, as service managers and schedulers send it, ends a command as Ctrl-C does, and so does SIGHUP, which a
    terminal sends when it closes; `nohup` has it ignored.
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _without_terminal)
    try:
        app()
    except WsmlStudyError as error:
        say(f"wsml-study: {error}", sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _without_terminal(_signal: int, _frame: FrameType | None) -> None:
    """End as by Ctrl-C; what is printed goes nowhere, since writing to a closed terminal is an error."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the shell and the kernel may both send it
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode):  # os.isatty() says False of a closed terminal
            os.dup2(nowhere, stream)
    signal.raise_signal(signal.SIGINT)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's job in the background ignores Ctrl-C, not SIGTERM
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
