"""Commands that train models and use them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wsml_study.cli.arguments import Address, DataRoot, folder_of, progress_of, read, screen
from wsml_study.cli.output import say, say_findings, show

PANEL = "Models"

app = typer.Typer()

ModelFolder = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder of a trained model, models/CONFIG/seed_N.", show_default=False)
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output file.")]


class TrainOn(StrEnum):
    """Images that final training uses."""

    TRAIN = "train"
    BOTH = "train+validation"


class Split(StrEnum):
    """Part of a dataset."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Device(StrEnum):
    """Device that a model runs on."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Best(StrEnum):
    """Measure that thresholds maximize."""

    F1 = "f1"


OnDevice = Annotated[Device, typer.Option("--device", help="Device to run on. auto: a GPU if there is one.")]


@app.command(rich_help_panel=PANEL)
def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="A config file written by `export`.", show_default=False)
    ],
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Number of seeds to train with, one model each.")] = 1,
    output: Annotated[str, typer.Option("-o", "--output", help="Folder to write to, a folder per config.")] = "models",
    on: Annotated[
        TrainOn | None,
        typer.Option(
            help="Images to train on. train: keeps the epoch of the best validation score. train+validation: uses the "
            "validation images too, and stops after the best epoch of the search.",
            show_default="train",
        ),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also export each model as model.onnx, checked against torch.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Move earlier models aside and start over.")] = False,
    address: Address = None,
    data_root: DataRoot = None,
) -> None:
    """Final training of a config: a model folder per seed, and a summary table in the layout of the paper."""
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
            help="A study file or config, a table (.csv, .tsv, .parquet) or a list of labelled images. Default: the "
            "data that the model was trained with.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[Split, typer.Option(help="Split of the dataset to evaluate on.")] = Split.TEST,
    data_root: DataRoot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Also write the evaluation to this .json file, or the classes to this .csv file."
        ),
    ] = None,
    overwrite: Overwrite = False,
    device: OnDevice = Device.AUTO,
) -> None:
    """Evaluate a model on labelled images: mAP, AP per class, ranking loss, precision at k, OF1, CF1."""
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
    say_findings(found, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def thresholds(
    model: ModelFolder,
    precision: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.999, help="Precision wanted of each class, for example 0.9.", show_default=False),
    ] = None,
    best: Annotated[
        Best | None, typer.Option(help="Instead of a precision, the largest F1 of each class.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Labelled images to choose by, as `evaluate` takes them: a study file or config, a table or a list. "
            "Default: the data that the model was trained with.",
            show_default=False,
        ),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            metavar="STUDY",
            help="A study file, or the folder of its results: choose by its validation labels, completed by its trials "
            "and people's answers (see `ask`).",
            show_default=False,
        ),
    ] = None,
    split: Annotated[Split, typer.Option(help="Split of the dataset to choose by.")] = Split.VALIDATION,
    data_root: DataRoot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier thresholds of the model.")] = False,
    device: OnDevice = Device.AUTO,
) -> None:
    """Choose a threshold per class, and calibrate the probabilities, by known labels; `predict --decide` uses both."""
    from wsml_study.cli.progress import counting
    from wsml_study.inference.thresholds import choose_thresholds

    if (precision is None) == (best is None):
        raise typer.BadParameter("give either --precision, for example --precision 0.9, or --best f1")
    if answers is not None and (data is not None or split is not Split.VALIDATION):
        raise typer.BadParameter(
            "is about the study's validation images; leave out --data and --split", param_hint="--answers"
        )
    with counting("images decoded") as progress:
        found = choose_thresholds(
            model,
            data,
            precision=precision,
            best="f1" if best is Best.F1 else None,
            answers=None if answers is None else folder_of(answers, None),
            split=split.value,
            data_root=data_root,
            overwrite=overwrite,
            device=device,
            progress=progress,
        )
    say_findings(found, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def pointing(
    model: ModelFolder,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="A study file or config, a table (.csv, .tsv, .parquet) or a list of labelled images. Default: the "
            "data that the model was trained with.",
            show_default=False,
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Boxes around the objects: a folder of .xml files as Pascal VOC has them, or a .json file as COCO has "
            "it. Default: those of the dataset, if it has any.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[Split, typer.Option(help="Split of the dataset to take.")] = Split.TEST,
    tolerance: Annotated[
        float,
        typer.Option(min=0, max=1e6, help="Pixels beside a box that still count as a hit, of the annotated image."),
    ] = 15.0,
    resolution: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2048,
            help="Pixels a side of the images that maps are computed from. Default: as in training.",
            show_default=False,
        ),
    ] = None,
    data_root: DataRoot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Also write the classes to this .parquet, .csv or .json file."),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(help="Also write a row per image and class to this .parquet, .csv or .json file."),
    ] = None,
    overwrite: Overwrite = False,
    device: OnDevice = Device.AUTO,
) -> None:
    """Play the pointing game: is the maximum of each class activation map in a box of the class?"""
    from wsml_study.cli.progress import counting
    from wsml_study.inference.pointing_game import play_pointing_game

    with counting("images decoded") as progress:
        found = play_pointing_game(
            model,
            data,
            boxes=boxes,
            split=split.value,
            data_root=data_root,
            tolerance=tolerance,
            resolution=resolution,
            output=output,
            points=points,
            overwrite=overwrite,
            device=device,
            progress=progress,
        )
    say_findings(found, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def predict(
    model: ModelFolder,
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="An image, a folder, a text file with an image per line, or a table whose first column names images.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A .parquet, .csv or .json file to write: a row per image, a column per class. Optional for a single "
            "image.",
        ),
    ] = None,
    decide: Annotated[
        bool,
        typer.Option(
            "--decide", help="Also decide each class, yes or no, by the model's thresholds (see `thresholds`)."
        ),
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Write a contact sheet of the decided images to this .html, .png or .jpg file: the surest and the "
            "borderline ones of each class.",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Folder that the names of a list are relative to. Default: the folder of the list."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images per batch. Default: as in training.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    device: OnDevice = Device.AUTO,
) -> None:
    """Predict the probability of each class for images. Unreadable images are listed and the others predicted."""
    from wsml_study.cli.progress import counting
    from wsml_study.inference.prediction import predict_images, predict_one

    if output is None and sheet is None:
        for line in predict_one(model, images, decide=decide, device=device):
            say(line)
        return
    with counting("images predicted") as progress:
        found = predict_images(
            model,
            images,
            output,
            decide=decide,
            sheet=sheet,
            root=root,
            batch_size=batch_size,
            overwrite=overwrite,
            device=device,
            progress=progress,
        )
    for line in found.lines():
        say(line)


@app.command(rich_help_panel=PANEL)
def onnx(
    model: ModelFolder,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The .onnx file to write. Default: model.onnx in the model's folder."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a model as ONNX: photos of any size in, probabilities, decisions out; compared with `predict` first."""
    from wsml_study.inference.onnx_export import export_model

    say(export_model(model, output, overwrite=overwrite))


@app.command(rich_help_panel=PANEL)
def maps(
    models_and_images: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... IMAGE...",
            help="Folders of models, then images: files, or names of images in the first model's dataset, which has "
            "their true classes.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .png file to write.")],
    classes: Annotated[
        str | None,
        typer.Option(help="Classes to show, separated by commas. Default: the true classes, or the most likely."),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2048,
            help="Pixels a side of the images that maps are computed from. Default: as in training, or up to 4 times "
            "that where a map would have fewer than 7 places a side.",
            show_default=False,
        ),
    ] = None,
    data_root: DataRoot = None,
    overwrite: Overwrite = False,
    device: OnDevice = Device.AUTO,
) -> None:
    """Draw class activation maps (CAM): where in an image a model sees a class, a column per model."""
    from wsml_study.inference.maps import draw_maps

    drawn = draw_maps(
        models_and_images,
        output,
        classes=None if classes is None else [name.strip() for name in classes.split(",")],
        resolution=resolution,
        data_root=data_root,
        overwrite=overwrite,
        device=device,
    )
    for line in drawn.lines():
        say(line)
