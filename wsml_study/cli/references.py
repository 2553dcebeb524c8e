"""Commands that write a first study file, explain methods and print the schema."""

from __future__ import annotations

import json
import shlex
import shutil
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from wsml_study.errors import ResultsError

PANEL = "Data and methods"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def init(
    path: Annotated[
        Path | None, typer.Argument(help="The study file to write; by default study.yaml, or the name of the example.")
    ] = None,
    example: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Begin with an example study.", show_default=False)
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the example studies instead.")] = False,
) -> None:
    """Write a commented study file as a starting point."""
    from wsml_study.record.files import write_whole
    from wsml_study.study.example_studies import example_for, example_names, example_title
    from wsml_study.study.schema import template

    if listed:
        for name in example_names():
            width = max(40, shutil.get_terminal_size().columns - 24)
            print(f"{name:<24}{textwrap.shorten(example_title(name), width, placeholder=' ...')}")
        return
    file = path or Path("study.yaml" if example is None else f"{example.replace('/', '_')}.yaml")
    text = template() if example is None else example_for(example, file)
    if file.exists():
        raise ResultsError(f"{file} exists already; name another file")
    write_whole(file, text.encode())
    print(f"wrote {file}; next: wsml-study check {shlex.quote(str(file))}")


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
