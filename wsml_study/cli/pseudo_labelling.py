"""The command that scores training images by class with a CLIP model, for methods that learn from given scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import DataRoot, StudyOrFolder, read_or_recall
from wsml_study.cli.models import Device, OnDevice
from wsml_study.cli.output import say

PANEL = "Data and methods"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def pseudo_labels(
    study: StudyOrFolder,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .parquet or .csv file, for data.pseudo_labels.")],
    backbone: Annotated[str, typer.Option(help="A model of open_clip.")] = "open_clip/ViT-B-16-quickgelu",
    weights: Annotated[
        str, typer.Option(help="A tag of its weights, a file of them, or hf-hub:owner/name.")
    ] = "openai",
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="Describes a class, its name in place of {}; several are averaged.", show_default=False),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A .csv file of a class and a text a line, in place of --prompt for these.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=1e-4, help="Of the softmax over the classes.")] = 0.01,
    device: OnDevice = Device.AUTO,
    data_root: DataRoot = None,
) -> None:
    """Score the training images of a study by class with CLIP, for VLPL and GPR.

    A score is the softmax over the classes of how alike the image and the class's texts are. Name the file as
    data.pseudo_labels; check then says how often the scores agree with the labels that are known.
    """
    from wsml_study.cli.progress import counting
    from wsml_study.inference.model import device_of
    from wsml_study.inference.zero_shot import write_zero_shot_scores

    description = read_or_recall(study, None, data_root)
    with counting("scoring images") as progress:
        num_images = write_zero_shot_scores(
            description.data,
            output,
            backbone=backbone,
            weights=weights,
            templates=prompt or ["a photo of a {}"],
            prompts=prompts,
            temperature=temperature,
            device=device_of(device),
            progress=progress,
        )
    say(f"scores of {num_images:,} training images in {output}; name it as data.pseudo_labels")
