"""Commands that say what a study found."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import Storage, StudyOrFolder, folder_of

PANEL = "What it found"

app = typer.Typer()


class Per(StrEnum):
    """What to rank within."""

    STUDY = "study"
    METHOD = "method"


@app.command(rich_help_panel=PANEL)
def results(
    study: StudyOrFolder,
    top: Annotated[int | None, typer.Option(min=1, help="Only the best so many trials.")] = None,
    storage: Storage = None,
) -> None:
    """Show a study's trials, best first, also while it runs."""
    from wsml_study.results.summary import trials_table

    for line in trials_table(folder_of(study, storage), top=top):
        print(line)


@app.command(rich_help_panel=PANEL)
def export(
    study: StudyOrFolder,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the configs.")],
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials, of each method with --per method.")] = 1,
    per: Annotated[Per, typer.Option(help="Rank over the whole study or within each method.")] = Per.STUDY,
    storage: Storage = None,
) -> None:
    """Write the best trials as configs that `check` accepts and `train` trains."""
    from wsml_study.results.export import export_configs

    for path in export_configs(folder_of(study, storage), top=top, per_method=per is Per.METHOD, output=output):
        print(path)
