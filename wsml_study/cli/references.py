"""Commands that write a first study file, explain methods and print the schema."""

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
    """Write a commented study file as a starting point."""
    from wsml_study.record.files import write_whole
    from wsml_study.study.schema import template

    if path.exists():
        raise ResultsError(f"{path} exists already; name another file")
    write_whole(path, template().encode())
    print(f"wrote {path}; next: wsml-study check {path}")


@app.command(rich_help_panel=PANEL)
def methods(
    name: Annotated[str | None, typer.Argument(help="Method or head to explain.", show_default=False)] = None,
) -> None:
    """List the methods for unobserved labels, or explain one: formula, source, defaults, published mAP, curves."""
    from wsml_study.methods.explanation import explain, overview

    for line in overview() if name is None else explain(name):
        print(line)


@app.command(rich_help_panel=PANEL)
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from wsml_study.study.schema import schema as study_schema

    print(json.dumps(study_schema(), indent=2))
