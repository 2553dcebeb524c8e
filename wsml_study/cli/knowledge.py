"""Commands that say what a study found."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import Storage, StudyOrFolder, argument, folder_of
from wsml_study.cli.output import FormatOption, OutputFile, deliver, say
from wsml_study.record.formats import Format

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
    from wsml_study.report.summary import answer, trials_table
    from wsml_study.results.level_results import read_levels
    from wsml_study.results.trial_filter import select_trials

    folder = folder_of(study, storage)
    trials = select_trials(folder, where=where, per=per, top=top, sort=sort, descending=descending)
    if output is not None or form not in (None, Format.TABLE):
        deliver(trials, form, output)
        return
    levels = read_levels(folder)
    lines = [*trials_table(trials.to_pandas()), "", *([] if levels is None else [*levels.lines(), ""])]
    for line in [*lines, *answer(folder, study_argument=argument(study, storage))]:
        say(line)


class FigureFormat(StrEnum):
    """What figures are drawn as."""

    SVG = "svg"
    PNG = "png"


@app.command(rich_help_panel=PANEL)
def report(
    study: StudyOrFolder,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write; report.html in the study's folder if absent."),
    ] = None,
    figures: Annotated[Path | None, typer.Option(help="Also write each figure into this folder.")] = None,
    figure_format: Annotated[FigureFormat, typer.Option("--format", help="What to draw them as.")] = FigureFormat.SVG,
    storage: Storage = None,
) -> None:
    """Write a report that a colleague can open: one HTML file that needs nothing else, also while the study runs."""
    from wsml_study.report.html_report import write_report

    folder = folder_of(study, storage)
    written = write_report(
        folder, output or folder / "report.html", address=str(study), figures=figures, file_format=figure_format.value
    )
    print(f"wrote {written.path}: {written.num_figures} figures, {written.num_bytes / 1e6:.2f} MB")
    for name, why in written.left_out.items():
        say(f"left out {name}: {why}")
    for path in written.files:
        say(f"wrote {path}")


@app.command(rich_help_panel=PANEL)
def export(
    study: StudyOrFolder,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the configs.")],
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials, of each method with --per method.")] = 1,
    per: Annotated[Per, typer.Option(help="Rank over the whole study or within each method.")] = Per.STUDY,
    by: Annotated[By, typer.Option(help="Rank all trials by their value, or the confirmed ones by mean.")] = By.VALUE,
    trial: Annotated[
        int | None, typer.Option(min=0, help="Export this trial, whatever its rank.", show_default=False)
    ] = None,
    storage: Storage = None,
) -> None:
    """Write the best trials, or a certain one, as configs that `check` accepts and `train` trains."""
    from wsml_study.results.export import export_configs

    if trial is not None and (top, per, by) != (1, Per.STUDY, By.VALUE):
        raise typer.BadParameter("--trial names one trial; leave out --top, --per and --by")
    for path in export_configs(
        folder_of(study, storage),
        output=output,
        top=top,
        per_method=per is Per.METHOD,
        by_confirmed=by is By.CONFIRMED,
        trial=trial,
    ):
        say(path)
