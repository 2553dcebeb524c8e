"""Commands to look things up and to start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from wsml_study.errors import ResultsError

PANEL = "Data and methods"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def init(
    path: Annotated[Path, typer.Argument(help="The study file to write.")] = Path("study.yaml"),
) -> None:
    """Write a commented study file to start from."""
    from wsml_study.record.files import write_whole
    from wsml_study.study.schema import template

    if path.exists():
        raise ResultsError(f"{path} exists already; name another file")
    write_whole(path, template().encode())
    print(f"wrote {path}; next: wsml-study check {path}")


@app.command(rich_help_panel=PANEL)
def methods(
    name: Annotated[str | None, typer.Argument(help="Explain this method or head.", show_default=False)] = None,
) -> None:
    """List the ways to treat unobserved labels, or explain one: formula, source, defaults, published mAP, curves."""
    from wsml_study.methods.explanation import explain, overview

    for line in overview() if name is None else explain(name):
        print(line)


@app.command(rich_help_panel=PANEL)
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from wsml_study.study.schema import schema as study_schema

    print(json.dumps(study_schema(), indent=2))
