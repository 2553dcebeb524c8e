"""The command that serves studies as tools of the Model Context Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsml_study.errors import ResultsError

app = typer.Typer()


@app.command(rich_help_panel="Results")
def mcp(
    root: Annotated[
        Path,
        typer.Argument(
            metavar="[FOLDER]", help="The folder with study files and results; the server refuses paths outside."
        ),
    ] = Path(),
    data: Annotated[
        list[Path] | None,
        typer.Option(help="A folder elsewhere that studies may read datasets from; may be given several times."),
    ] = None,
) -> None:
    """Serve studies to a language model's client (MCP, standard input and output): check, run, status, results, query.

    A client starts it by itself, with this command as its configuration. Runs go on when it ends.
    """
    from wsml_study.mcp_server.allowed_paths import AllowedPaths

    try:
        from wsml_study.mcp_server.server import study_server
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("mcp", "mcp_types", "anyio"):
            raise
        raise ResultsError("the server needs the package mcp: pip install 'wsml-study[mcp]'") from error
    study_server(AllowedPaths(root, data or ())).run("stdio")
