"""Commands that look at data: `wsml-study data ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import DataRoot, StudyFile, read
from wsml_study.cli.output import say

app = typer.Typer(help="Look at data, decode it ahead of a study, check that it is sound.", no_args_is_help=True)


@app.command("list")
def data_list() -> None:
    """List the datasets that can be read, and what folder each wants."""
    from wsml_study.report.data_tour import overview

    for line in overview():
        say(line)


@app.command("info")
def data_info(
    study: StudyFile,
    data_root: DataRoot = None,
    picture: Annotated[Path | None, typer.Option(help="Write sample images with their labels into this .png.")] = None,
) -> None:
    """Show what the labels of a study's data say: counts, class frequencies, classes seen together, what is hidden."""
    from wsml_study.report.data_tour import data_info as info

    for line in info(read(study, None, data_root).data, picture=picture):
        say(line)


@app.command("prepare")
def data_prepare(study: StudyFile, data_root: DataRoot = None) -> None:
    """Decode and resize all images of a study's data into the store, which `run` would do else."""
    from wsml_study.cli.progress import counting
    from wsml_study.report.data_tour import prepare

    with counting("images decoded") as progress:
        prepare(read(study, None, data_root).data, notify=print, progress=progress)


@app.command("verify")
def data_verify(study: StudyFile, data_root: DataRoot = None) -> None:
    """Decode every image and compare all: unreadable ones, the same in training and test, images without labels."""
    from wsml_study.cli.progress import counting
    from wsml_study.report.data_tour import verify

    with counting("images looked at") as progress:
        found = verify(read(study, None, data_root).data, progress=progress)
    for line in (*found.notes, *found.problems):
        say(line)
    print(f"{found.num_images:,} {found.thing} looked at; problems: {len(found.problems)}, notes: {len(found.notes)}")
    if found.problems:
        raise typer.Exit(1)
