"""Commands that make models and use them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import Address, DataRoot, progress_of, read, screen, show
from wsml_study.cli.output import say

PANEL = "Models"

app = typer.Typer()

ModelFolder = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model's folder, models/CONFIG/seed_N.", show_default=False)
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")]


class TrainOn(StrEnum):
    """Images that final training learns from."""

    TRAIN = "train"
    BOTH = "train+validation"


class Split(StrEnum):
    """Part of a dataset."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Device(StrEnum):
    """Where a model computes."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


OnDevice = Annotated[Device, typer.Option("--device", help="auto: a GPU where there is one.")]


@app.command(rich_help_panel=PANEL)
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="An exported config.", show_default=False)],
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Train with so many seeds, one model each.")] = 1,
    output: Annotated[str, typer.Option("-o", "--output", help="Folder that receives a folder per config.")] = "models",
    on: Annotated[
        TrainOn | None,
        typer.Option(
            help="train: the best epoch by the validation images. train+validation: these are trained on as well, up "
            "to the best epoch of the search.",
            show_default="train",
        ),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write each model as model.onnx too, compared with torch.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Set earlier models aside and start anew.")] = False,
    address: Address = None,
    data_root: DataRoot = None,
) -> None:
    """Train a config for good: a model folder per seed, and a table like the paper's over all models of the folder."""
    from wsml_study.report.training_summary import training_summary
    from wsml_study.tuning.final_training import final_training, over_seeds

    console = screen()
    description = over_seeds(read(config, output, data_root), num_seeds=seeds, on=None if on is None else on.value)
    if onnx:
        from wsml_study.inference.onnx_export import check_onnx

        check_onnx()
    with progress_of(console, description) as progress:
        outcome = final_training(description, progress, restart=restart, address=address)
    show(console, training_summary(outcome.folder))
    if onnx:
        from wsml_study.inference.onnx_export import export_models

        show(console, export_models(outcome.folder))
    if not outcome.finished:
        raise typer.Exit(130)


@app.command(rich_help_panel=PANEL)
def evaluate(
    model: ModelFolder,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="A study file or config, a table (.csv, .tsv, .parquet) or a list of labelled images; by default the "
            "model's own data.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[Split, typer.Option(help="Which images of a dataset.")] = Split.TEST,
    data_root: DataRoot = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write it into this .json, or the classes into this .csv.")
    ] = None,
    overwrite: Overwrite = False,
    device: OnDevice = Device.AUTO,
) -> None:
    """Judge a model by labelled images: mAP, AP per class, ranking loss, OF1 and CF1."""
    from wsml_study.cli.progress import counting
    from wsml_study.inference.evaluation import evaluate_model

    with counting("images decoded") as progress:
        found = evaluate_model(
            model,
            data,
            split=split.value,
            data_root=data_root,
            output=output,
            overwrite=overwrite,
            device=device,
            progress=progress,
        )
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return
    for line in found.lines():
        say(line)


@app.command(rich_help_panel=PANEL)
def predict(
    model: ModelFolder,
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="An image, a folder, a list of images, one a line, or a table whose first column names them.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A .parquet or .csv file: a row per image, a column per class. One image may be printed instead.",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="What the names of a list are relative to, instead of the list's own folder."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images at once; by default as in the test after training.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    device: OnDevice = Device.AUTO,
) -> None:
    """Write how likely each image shows each class. Images that cannot be read are listed; the others are predicted."""
    from wsml_study.cli.progress import counting
    from wsml_study.inference.prediction import predict_images, predict_one

    if output is None:
        for line in predict_one(model, images, device=device):
            say(line)
        return
    with counting("images predicted") as progress:
        found = predict_images(
            model,
            images,
            output,
            root=root,
            batch_size=batch_size,
            overwrite=overwrite,
            device=device,
            progress=progress,
        )
    for line in found.lines():
        say(line)


@app.command(rich_help_panel=PANEL)
def maps(
    models_and_images: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... IMAGE...",
            help="Folders of models, then images: files, or names of images of the first model's own data, whose true "
            "classes are then known.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write, a .png.")],
    classes: Annotated[
        str | None, typer.Option(help="Show these classes, separated by commas, instead of the true or likeliest ones.")
    ] = None,
    data_root: DataRoot = None,
    overwrite: Overwrite = False,
    device: OnDevice = Device.AUTO,
) -> None:
    """Draw where models see the classes of images: class activation maps, a column per model."""
    from wsml_study.inference.maps import draw_maps

    path = draw_maps(
        models_and_images,
        output,
        classes=None if classes is None else [name.strip() for name in classes.split(",")],
        data_root=data_root,
        overwrite=overwrite,
        device=device,
    )
    say(f"wrote {path}")
