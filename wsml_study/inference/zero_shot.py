"""Scores of training images by class from a CLIP model and descriptions of the classes, for `data.pseudo_labels`.

Shapes: N training images, B of them at once, C classes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import torch

from wsml_study.data.dataset import GivenFeatures
from wsml_study.data.image_store import open_images
from wsml_study.errors import DataError, ResultsError, TrainingError
from wsml_study.record.formats import csv_text
from wsml_study.study.backbone_library import LIBRARIES, library_of
from wsml_study.study.data_section import Data
from wsml_study.training.trial_data import dataset_of

IMAGES_AT_ONCE = 64
PLACEHOLDER = "{}"
SUFFIXES = (".parquet", ".csv")

Progress = Callable[[int, int], None]


def texts_of_classes(
    classes: Sequence[str], templates: Sequence[str], file: Path | None = None
) -> tuple[tuple[str, ...], ...]:
    """What describes each class: the templates with its name in place of {}, or its own texts from a file.

    >>> texts_of_classes(["cat", "dog"], ["a photo of a {}"])
    (('a photo of a cat',), ('a photo of a dog',))

    Args:
        classes: names.
        templates: one or more.
        file: CSV without a heading, a class and a text a line; classes that it lacks have the templates.

    Raises:
        DataError: a template has no {}, or the file is malformed or names a class that there is not.
    """
    if wrong := [one for one in templates if PLACEHOLDER not in one]:
        raise DataError(f"--prompt: expected a text with {PLACEHOLDER} for the name of a class, got {wrong[0]!r}")
    own: dict[str, list[str]] = {}
    for number, cells in enumerate(_lines(file), start=1):
        if len(cells) != 2 or cells[0] not in classes:
            raise DataError(f"{file}:{number}: expected one of the classes and a text, got {', '.join(cells)!r}")
        own.setdefault(cells[0], []).append(cells[1])
    return tuple(tuple(own.get(name) or [one.replace(PLACEHOLDER, name) for one in templates]) for name in classes)


def _lines(file: Path | None) -> list[list[str]]:
    if file is None:
        return []
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return [[cell.strip() for cell in cells] for cells in csv.reader(lines) if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def write_zero_shot_scores(
    data: Data,
    output: Path,
    *,
    backbone: str,
    weights: str,
    templates: Sequence[str],
    prompts: Path | None = None,
    temperature: float,
    device: torch.device,
    progress: Progress | None = None,
) -> int:
    """Write a table with the scores of all images of the training split; how many images these are.

    A score is the softmax over the classes of the cosine similarities of the whole image and the class, divided by the
    temperature, as VLPL has it.

    Args:
        data: the section of a study.
        output: a .parquet or .csv file.
        backbone: `open_clip/NAME`.
        weights: as `model.weights`.
        templates, prompts: as of `texts_of_classes`.
        temperature: above 0.
        device: where to compute.
        progress: called with how many images are done, and of how many.

    Raises:
        DataError: the images, labels or prompts are missing or malformed, or there are no images.
        TrainingError: open_clip is not installed, or the model or its weights are unknown or absent.
        ResultsError: the file cannot be written.
    """
    if output.suffix not in SUFFIXES:
        raise ResultsError(f"{output}: expected a file that ends in {' or '.join(SUFFIXES)}")
    library = library_of(backbone)
    if library is not LIBRARIES["open_clip"]:
        raise DataError(f"--backbone: expected open_clip/NAME, which knows texts, got {backbone}")
    if not library.requires.is_met:
        raise TrainingError(f"{backbone} needs open_clip, which is not installed: {library.requires.install}")
    from wsml_study.training.open_clip_texts import TextSimilarity

    dataset = dataset_of(data)
    if isinstance(dataset.train.images, GivenFeatures):
        raise DataError(
            f"data.dataset: {data.dataset.value} has features in place of images, of which CLIP sees nothing"
        )
    texts = texts_of_classes(dataset.classes, templates, prompts)
    model = TextSimilarity(backbone, weights, texts).to(device)
    images = open_images(dataset.train.images, size=model.image_size, channels=3, kind=data.store)
    scores: list[torch.Tensor] = []
    for start in range(0, len(dataset.train), IMAGES_AT_ONCE):
        rows_B = np.arange(start, min(start + IMAGES_AT_ONCE, len(dataset.train)))
        similarity_BC = model(torch.from_numpy(np.array(images[rows_B])).to(device))
        scores.append((similarity_BC / temperature).softmax(-1).cpu())
        if progress is not None:
            progress(int(rows_B[-1]) + 1, len(dataset.train))
    _write(output, dataset.train.names, dataset.classes, torch.cat(scores))
    return len(dataset.train)


def _write(output: Path, names: Sequence[str], classes: Sequence[str], scores_NC: torch.Tensor) -> None:
    cell = csv_text if output.suffix == ".csv" else str
    image = "image" if "image" not in classes else "image_file"
    columns = {image: pa.array(map(cell, names), pa.string())}
    columns |= {cell(name): pa.array(scores_N.numpy()) for name, scores_N in zip(classes, scores_NC.T, strict=True)}
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.suffix == ".csv":
            pyarrow.csv.write_csv(pa.table(columns), output)
        else:
            pq.write_table(pa.table(columns), output)
    except OSError as error:
        raise ResultsError(f"{output}: {error.strerror or error}; make room or name another file") from error
