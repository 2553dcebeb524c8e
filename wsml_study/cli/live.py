"""The command that serves the live page of all studies of a folder or bucket."""

from __future__ import annotations

import time
from typing import Annotated

import typer

PANEL = "Results"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def serve(
    results: Annotated[
        str,
        typer.Argument(
            metavar="RESULTS",
            help="A folder of results, or that of one study, or a URI such as s3://bucket/results.",
        ),
    ] = "results",
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port to listen on. Default: that of the last time, or any.", show_default=False
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve a live page of all studies, running and done, on this machine: progress, curves, figures, notes, commands.

    Only who knows the address that is printed can open it. Ctrl-C ends the server; studies go on by themselves.
    """
    from wsml_study.cli.output import say
    from wsml_study.live.serving import served_studies

    with served_studies(results, port=port) as (address, studies):
        num = len(studies.all())
        say(f"{num} {'study' if num == 1 else 'studies'} of {results} at {address}")
        print("The address is the key: whoever has it may stop and start runs. Ctrl-C ends; studies go on.", flush=True)
        if open_page:
            import webbrowser

            webbrowser.open(address)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print()
