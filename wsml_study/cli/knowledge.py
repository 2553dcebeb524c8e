"""Commands that show and export a study's results."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import Storage, StudyOrFolder, argument, folder_of, place_of
from wsml_study.cli.output import FormatOption, OutputFile, deliver_rendered, say
from wsml_study.record.formats import FOR_PROGRAMS, Format, rendered, written

PANEL = "Results"

app = typer.Typer()


class By(StrEnum):
    """The value to rank trials by."""

    VALUE = "value"
    CONFIRMED = "confirmed"


class Per(StrEnum):
    """The group to rank trials within."""

    STUDY = "study"
    METHOD = "method"


@app.command(rich_help_panel=PANEL)
def results(
    study: StudyOrFolder,
    where: Annotated[
        str | None,
        typer.Option(
            help="Only trials that meet this condition, such as \"method == 'LL-R' and value > 80\"; with --paper, "
            "only rows of its table, such as \"method != 'LL-Cp'\"."
        ),
    ] = None,
    per: Annotated[
        str | None, typer.Option(help="Only the best trial for each value of this column, such as method.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Only the best N trials; with --per the best N of each value.")
    ] = None,
    sort: Annotated[str | None, typer.Option(help="Sort by this column instead of by rank.")] = None,
    descending: Annotated[bool, typer.Option("--descending", help="With --sort: largest values first.")] = False,
    paper: Annotated[
        bool,
        typer.Option(
            "--paper", help="Instead of trials: test mAP over the seeds of each method beside the published figures."
        ),
    ] = False,
    all_pairs: Annotated[
        bool,
        typer.Option("--all-pairs", help="Also compare every pair of confirmed configs, not only with the baseline."),
    ] = False,
    form: FormatOption = None,
    output: OutputFile = None,
    storage: Storage = None,
) -> None:
    """Show a study's trials, best first, and which differences are confirmed. Works while the study runs."""
    from wsml_study.record.lease import is_running
    from wsml_study.report.group_table import groups_of_trials
    from wsml_study.report.paper_table import paper_table
    from wsml_study.report.summary import answer, limit_lines, objective_of, trial_columns, trials_table
    from wsml_study.results.class_counts import class_note_of
    from wsml_study.results.level_results import read_levels
    from wsml_study.results.trial_filter import none_meets, select_trials

    folder = folder_of(study, storage)
    if paper:
        if (per, top, sort, descending) != (None, None, None, False):
            raise typer.BadParameter("--paper shows every method; leave out --per, --top, --sort, --descending")
        table = paper_table(folder)
        deliver_rendered((table if where is None else table.where(where)).rendered, form, output)
        return
    trials = select_trials(folder, where=where, per=per, top=top, sort=sort, descending=descending)
    shown = trials.to_pandas()
    if output is not None or form not in (None, Format.TABLE):
        deliver_rendered(
            lambda chosen: (
                rendered(trials, chosen)
                if chosen in FOR_PROGRAMS
                else written(trial_columns(shown, running=is_running(place_of(study, storage))), chosen)
            ),
            form,
            output,
        )
        return
    levels = read_levels(folder)
    classes = class_note_of(folder, objective_of(shown), shown["trial"].tolist())
    running = is_running(place_of(study, storage))
    lines = [*trials_table(shown, running=running), *classes, "", *groups_of_trials(folder, shown)]
    lines += [*([] if levels is None else [*levels.lines(), ""])]
    lines += limit_lines(folder)
    if where is not None and shown.empty:
        lines += [none_meets(folder, where), ""]
    for line in [*lines, *answer(folder, study_argument=argument(study, storage), pairs=all_pairs)]:
        say(line)


class FigureFormat(StrEnum):
    """File format of figures."""

    SVG = "svg"
    PNG = "png"
    PDF = "pdf"


@app.command(rich_help_panel=PANEL)
def report(
    study: StudyOrFolder,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write. Default: report.html in the study's folder."),
    ] = None,
    figures: Annotated[Path | None, typer.Option(help="Also write each figure to a file in this folder.")] = None,
    figure_format: Annotated[
        FigureFormat, typer.Option("--format", help="File format of --figures.")
    ] = FigureFormat.SVG,
    storage: Storage = None,
) -> None:
    """Write the report: one self-contained HTML file with figures and tables. Works while the study runs."""
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
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write the config files to.")],
    top: Annotated[
        int, typer.Option(min=1, help="Number of best trials to export; with --per method, of each method.")
    ] = 1,
    per: Annotated[Per, typer.Option(help="Rank trials over the whole study or within each method.")] = Per.STUDY,
    by: Annotated[
        By,
        typer.Option(
            help="Rank all trials by their value, or confirmed configs: the recommended one, then by their mean."
        ),
    ] = By.VALUE,
    front: Annotated[
        bool,
        typer.Option("--front", help="Export every trial on the front of a study with two objectives."),
    ] = False,
    trial: Annotated[
        int | None,
        typer.Option(min=0, help="Export the trial with this number instead of the best.", show_default=False),
    ] = None,
    storage: Storage = None,
) -> None:
    """Export the best trials, or one chosen trial, as config files that `check` and `train` accept."""
    from wsml_study.results.export import export_configs

    if trial is not None and (top, per, by) != (1, Per.STUDY, By.VALUE):
        raise typer.BadParameter("--trial names one trial; leave out --top, --per and --by")
    if front and (top, per, by, trial) != (1, Per.STUDY, By.VALUE, None):
        raise typer.BadParameter("--front exports the whole front; leave out --top, --per, --by and --trial")
    for path in export_configs(
        folder_of(study, storage),
        output=output,
        top=top,
        per_method=per is Per.METHOD,
        by_confirmed=by is By.CONFIRMED,
        front=front,
        trial=trial,
    ):
        say(path)
