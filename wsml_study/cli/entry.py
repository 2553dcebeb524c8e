"""The program `wsml-study`: all commands, and the exit status."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import typer

from wsml_study.cli import cluster, data, evidence, knowledge, models, references, studies
from wsml_study.errors import WsmlStudyError, printable

app = typer.Typer(
    help="Find out by experiment how a weakly supervised multi-label classifier should treat its unobserved labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (studies, cluster, knowledge, evidence, models, references):
    app.add_typer(group.app)
app.add_typer(data.app, name="data", rich_help_panel=references.PANEL)


def main() -> None:
    """Entry point: an error that the user can correct is printed without a traceback, with exit status 1.

    SIGTERM, as service managers and schedulers send it, ends a command as Ctrl-C does.
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        app()
    except WsmlStudyError as error:
        print(printable(f"wsml-study: {error}"), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
