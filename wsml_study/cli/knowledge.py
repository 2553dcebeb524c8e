"""Commands that say what a study found."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import Storage, StudyOrFolder, argument, folder_of
from wsml_study.cli.output import FormatOption, OutputFile, deliver
from wsml_study.results.formats import Format

PANEL = "What it found"

app = typer.Typer()


class By(StrEnum):
    """What to rank by."""

    VALUE = "value"
    CONFIRMED = "confirmed"


class Per(StrEnum):
    """What to rank within."""

    STUDY = "study"
    METHOD = "method"


@app.command(rich_help_panel=PANEL)
def results(
    study: StudyOrFolder,
    where: Annotated[
        str | None, typer.Option(help="Only trials of which this holds, such as \"method == 'LL-R' and value > 80\".")
    ] = None,
    per: Annotated[str | None, typer.Option(help="Only the best of each value of this column, such as method.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Only the best so many trials, of each with --per.")] = None,
    sort: Annotated[str | None, typer.Option(help="Show them by this column, instead of best first.")] = None,
    descending: Annotated[bool, typer.Option("--descending", help="... from the largest value on.")] = False,
    form: FormatOption = None,
    output: OutputFile = None,
    storage: Storage = None,
) -> None:
    """Show a study's trials, best first, also while it runs, and what is sure of them."""
    from wsml_study.results.selection import select_trials
    from wsml_study.results.summary import answer, trials_table

    folder = folder_of(study, storage)
    trials = select_trials(folder, where=where, per=per, top=top, sort=sort, descending=descending)
    if output is not None or form not in (None, Format.TABLE):
        deliver(trials, form, output)
        return
    for line in [*trials_table(trials.to_pandas()), "", *answer(folder, study_argument=argument(study, storage))]:
        print(line)


@app.command(rich_help_panel=PANEL)
def export(
    study: StudyOrFolder,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the configs.")],
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials, of each method with --per method.")] = 1,
    per: Annotated[Per, typer.Option(help="Rank over the whole study or within each method.")] = Per.STUDY,
    by: Annotated[By, typer.Option(help="Rank all trials by their value, or the confirmed ones by mean.")] = By.VALUE,
    storage: Storage = None,
) -> None:
    """Write the best trials as configs that `check` accepts and `train` trains."""
    from wsml_study.results.export import export_configs

    for path in export_configs(
        folder_of(study, storage),
        top=top,
        per_method=per is Per.METHOD,
        output=output,
        by_confirmed=by is By.CONFIRMED,
    ):
        print(path)
