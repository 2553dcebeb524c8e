"""Commands that inspect and prepare data: `wsml-study data ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import DataRoot, StudyFile, read
from wsml_study.cli.output import say

app = typer.Typer(
    help="Inspect a dataset, decode its images ahead of a study, or check its files for problems.", no_args_is_help=True
)


@app.command("list")
def data_list() -> None:
    """List the supported datasets and the folder layout that each expects."""
    from wsml_study.report.data_tour import overview

    for line in overview():
        say(line)


@app.command("info")
def data_info(
    study: StudyFile,
    data_root: DataRoot = None,
    picture: Annotated[
        Path | None, typer.Option(help="Write sample images with their labels to this .png file.")
    ] = None,
) -> None:
    """Show label statistics of a study's data: counts, class frequencies, co-occurring classes, hidden labels."""
    from wsml_study.report.data_tour import data_info as info

    for line in info(read(study, None, data_root).data, picture=picture):
        say(line)


@app.command("prepare")
def data_prepare(study: StudyFile, data_root: DataRoot = None) -> None:
    """Decode and resize all images of a study's data into the image store now, instead of at the start of `run`."""
    from wsml_study.cli.progress import counting
    from wsml_study.report.data_tour import prepare

    with counting("images decoded") as progress:
        prepare(read(study, None, data_root).data, notify=print, progress=progress)


@app.command("verify")
def data_verify(study: StudyFile, data_root: DataRoot = None) -> None:
    """Decode every image and report unreadable ones, duplicates in training and test, and images without labels."""
    from wsml_study.cli.progress import counting
    from wsml_study.report.data_tour import verify

    with counting("images checked") as progress:
        found = verify(read(study, None, data_root).data, progress=progress)
    for line in (*found.notes, *found.problems):
        say(line)
    print(f"{found.num_images:,} {found.thing} checked; problems: {len(found.problems)}, notes: {len(found.notes)}")
    if found.problems:
        raise typer.Exit(1)
