"""Commands that confirm a study's findings, compare studies, query tables and reproduce trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from wsml_study.cli.arguments import (
    Address,
    DataRoot,
    Storage,
    StudyOrFolder,
    argument,
    folder_of,
    progress_of,
    read_or_recall,
    screen,
)
from wsml_study.cli.output import FormatOption, OutputFile, deliver, say, show
from wsml_study.record.formats import Format

PANEL = "Results"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def confirm(
    study: StudyOrFolder,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Number of configs besides the baseline. Default: `confirm.top` of the study, or 3."),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Number of seeds per config, or auto: add seeds in rounds until each comparison is settled, or has "
            "little chance to be. Default: `confirm.seeds` of the study, or 5.",
        ),
    ] = None,
    address: Address = None,
    storage: Storage = None,
    data_root: DataRoot = None,
) -> None:
    """Train the best configs and the best baseline again with fresh seeds and test the differences."""
    from wsml_study.report.summary import answer
    from wsml_study.tuning.confirmation_run import confirm_study

    console = screen()
    description = read_or_recall(study, storage, data_root)
    with progress_of(console, description) as progress:
        outcome = confirm_study(description, progress, top=top, seeds=_seeds(seeds), address=address)
    show(console, ["", *answer(outcome.folder.parent, study_argument=argument(study, storage))])
    if not outcome.finished and not outcome.stopped_on_request:
        raise typer.Exit(130)


def _seeds(given: str | None) -> int | Literal["auto"] | None:
    """The number of seeds, or "auto".

    Raises:
        typer.BadParameter: it is neither.
    """
    if given is None:
        return None
    if given == "auto":
        return "auto"
    if not given.isdecimal() or not 2 <= int(given) <= 1000:
        raise typer.BadParameter(f"expected a number from 2 to 1000, or auto; got {given!r}", param_hint="--seeds")
    return int(given)


@app.command(rich_help_panel=PANEL)
def query(
    study: StudyOrFolder,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="A query over the tables trials, epochs and classes.")],
    form: FormatOption = None,
    output: OutputFile = None,
    storage: Storage = None,
) -> None:
    """Query a study's tables in SQL, through DuckDB."""
    from wsml_study.results.queries import query_study

    deliver(query_study(folder_of(study, storage), sql), form, output)


@app.command(rich_help_panel=PANEL)
def corrections(
    study: StudyOrFolder,
    trial: Annotated[
        int | None, typer.Option(min=0, help="Number of the trial. Default: the best trial of LL-Cp or MIME.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Also draw photos with their corrected labels into this .png file.")
    ] = None,
    photos: Annotated[
        int, typer.Option(min=1, max=100, help="Number of photos in --picture: those with the most corrected labels.")
    ] = 3,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing --picture.")] = False,
    form: FormatOption = None,
    output: OutputFile = None,
    storage: Storage = None,
    data_root: DataRoot = None,
) -> None:
    """Show the labels that a trial of LL-Cp or MIME corrected for good, and how many rightly, by epoch and class.

    -o writes a row per label: image, class, epoch, right.
    """
    from wsml_study.results.corrections import read_corrections

    folder = folder_of(study, storage)
    found = read_corrections(folder, trial)
    if output is not None or form not in (None, Format.TABLE):
        deliver(found.table, form, output)
    else:
        for line in found.lines():
            say(line)
    if picture is not None:
        from wsml_study.report.corrections_picture import draw_corrections

        say(draw_corrections(folder, found, picture, num_photos=photos, data_root=data_root, overwrite=overwrite))


@app.command(rich_help_panel=PANEL)
def compare(
    studies: Annotated[
        list[Path], typer.Argument(metavar="STUDY...", help="Study files, or folders of results.", show_default=False)
    ],
    storage: Storage = None,
) -> None:
    """Show the best trials of several studies side by side, by method, and whether the studies are comparable."""
    from wsml_study.results.comparison import compare_studies

    for line in compare_studies([folder_of(study, storage) for study in studies]).lines():
        say(line)


@app.command(rich_help_panel=PANEL)
def reproduce(
    study: StudyOrFolder,
    trial: Annotated[int, typer.Argument(min=0, metavar="TRIAL", help="Number of the trial.")],
    address: Address = None,
    storage: Storage = None,
    data_root: DataRoot = None,
) -> None:
    """Run one trial again and compare every number of every epoch; exit status 1 if any differs."""
    from wsml_study.tuning.reproduction_run import reproduce_trial

    console = screen()
    description = read_or_recall(study, storage, data_root)
    with progress_of(console, description) as progress:
        found = reproduce_trial(description, progress, trial=trial, address=address)
    show(console, found.lines())
    if not found.is_equal:
        raise typer.Exit(1)
