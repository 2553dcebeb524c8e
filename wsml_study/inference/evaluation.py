"""How good a model is on labelled images: mAP, AP per class and the metrics beside them.

Shapes: N images, M of a split, C classes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from wsml_study.data.dataset import Dataset, ImageFiles, ImageSource, LabelFiles, Split
from wsml_study.data.image_store import Kind, open_images
from wsml_study.data.label_states import NEGATIVE, POSITIVE, Labels, dense_rows
from wsml_study.data.lists import read_list
from wsml_study.data.observation import train_and_validation_rows
from wsml_study.data.own_labels import check_images, check_names
from wsml_study.data.table import read_table
from wsml_study.errors import DataError, ResultsError
from wsml_study.inference.datasets import dataset_of, images_of
from wsml_study.inference.model import TrainedModel, load_model
from wsml_study.inference.picture_list import TABLES
from wsml_study.results.files import write_whole
from wsml_study.results.formats import aligned
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Data
from wsml_study.training.ranking_metrics import metrics_beside_map
from wsml_study.training.scoring import map_and_ap

SplitName = Literal["train", "validation", "test"]
STUDIES = (".yaml", ".yml")
Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotatedImages:
    """Images with true labels, the columns in the order of a model's classes.

    Attributes:
        described: what they are, for people.
        source: N images, not yet opened.
        store: how they are kept once they are decoded; None for the default.
        rows_M: those that are meant.
        labels_MC: their states, +1, -1, or 0 where nobody annotated.
    """

    described: str
    source: ImageSource
    store: Kind | None = None
    rows_M: npt.NDArray[np.int64]
    labels_MC: Labels


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What labelled images say of a model; mAP and AP in percent.

    Attributes:
        model: its name.
        data: what images these were.
        num_images: how many.
        map: mean AP; None where no image is annotated.
        classes: what is known of each.
        metrics: as `metrics_beside_map` names them.
    """

    model: str
    data: str
    num_images: int
    map: float | None
    classes: tuple[ClassResult, ...]
    metrics: dict[str, float | None]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        per_class = [vars(one) for one in self.classes]
        return {**vars(self), "classes": per_class}

    def lines(self) -> list[str]:
        """For people."""
        table = aligned(
            {
                "class": [one.name for one in self.classes],
                "AP": [_shown(one.ap, 2) for one in self.classes],
                "positive": [f"{one.positives:,}" for one in self.classes],
                "negative": [f"{one.negatives:,}" for one in self.classes],
            }
        )
        metrics = aligned(
            {"metric": list(self.metrics), "value": [_shown(value, 4) for value in self.metrics.values()]}
        )
        heading = f"{self.model} on {self.data}, {self.num_images:,} images: mAP {_shown(self.map, 2)} %"
        return [heading, "", *table, "", *metrics]

    def as_csv(self) -> bytes:
        """A row per class."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["class", "average_precision", "positives", "negatives"])
        writer.writerows([one.name, one.ap, one.positives, one.negatives] for one in self.classes)
        return text.getvalue().encode()


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """One class: its AP in percent, None without annotations, and how many images are annotated."""

    name: str
    ap: float | None
    positives: int
    negatives: int


def evaluate_model(
    model_folder: Path,
    source: Path | None,
    *,
    split: SplitName = "test",
    data_root: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Evaluation:
    """Load a model, judge it by labelled images, and write down what they say if asked.

    Args:
        model_folder: of the model.
        source, split, data_root: as `labelled_images`.
        output: a .json or .csv file for the evaluation.
        overwrite: replace an earlier file.
        device: as `load_model`.
        progress: told how many images are decoded.

    Raises:
        ResultsError: there is no model, or the file is of another kind, exists, or cannot be written.
        DataError: labels or images are missing or malformed.
    """
    if output is not None:
        _check_output(output, overwrite=overwrite)
    model = load_model(model_folder, device=device)
    images = labelled_images(model, source, split=split, data_root=None if data_root is None else Path(data_root))
    found = evaluate(model, images, progress=progress)
    if output is not None:
        write_whole(output, found.as_csv() if output.suffix == ".csv" else _json(found.as_json()))
    return found


def evaluate(model: TrainedModel, images: AnnotatedImages, *, progress: Progress | None = None) -> Evaluation:
    """Judge a model by labelled images.

    On the machine, and with the number of workers, that trained it, the images of its own test give the figures of its
    `metrics.json` to the last digit.

    Raises:
        DataError: images are missing or unreadable.
    """
    images_NcHW = open_images(
        images.source, size=model.image_size, channels=model.channels, kind=images.store, progress=progress
    )
    size = model.batch_size
    batches = (images_NcHW[images.rows_M[start : start + size]] for start in range(0, len(images.rows_M), size))
    logits_MC = model.logits(batches)
    mean, ap_C = map_and_ap(logits_MC, images.labels_MC)
    positives_C, negatives_C = ((images.labels_MC == state).sum(axis=0) for state in (POSITIVE, NEGATIVE))
    return Evaluation(
        model=model.name,
        data=images.described,
        num_images=len(images.rows_M),
        map=mean,
        classes=tuple(
            ClassResult(name=name, ap=ap, positives=int(num_positive), negatives=int(num_negative))
            for name, ap, num_positive, num_negative in zip(model.classes, ap_C, positives_C, negatives_C, strict=True)
        ),
        metrics=metrics_beside_map(logits_MC.cpu(), torch.from_numpy(images.labels_MC)),
    )


def labelled_images(
    model: TrainedModel, source: Path | None, *, split: SplitName = "test", data_root: Path | None = None
) -> AnnotatedImages:
    """Images to judge a model by.

    Args:
        model: whose classes they are labelled with.
        source: a study file or config, whose dataset it is; a .csv, .tsv or .parquet table of images with a column per
            class; another text file as a list of `name,index index ...`; None for the model's own data.
        split: of a dataset; tables and lists are taken whole.
        data_root: where the dataset or the images lie, instead of what the study says or the folder of the list.

    Raises:
        DataError: files are missing or malformed, or label other classes.
        StudyFileError: the study file is none.
    """
    if source is None:
        return _of_dataset(model, model.study.data, split, data_root)
    if source.suffix in STUDIES:
        return _of_dataset(model, read_study(source).data, split, data_root)
    if not source.is_file():
        raise DataError(f"{source}: expected a study file, a table or a list of labelled images; there is no such file")
    read = read_table(source, LabelFiles(file=str(source)), model.classes) if source.suffix in TABLES else None
    labelled = read or read_list(source, model.classes)
    root = data_root or source.parent
    check_names(labelled)
    check_images(labelled, root)
    return AnnotatedImages(
        described=str(source),
        source=ImageFiles(folder=root, names=labelled.names),
        rows_M=np.arange(len(labelled.names)),
        labels_MC=labelled.labels_NC,
    )


def _check_output(path: Path, *, overwrite: bool) -> None:
    if path.suffix not in (".json", ".csv"):
        raise ResultsError(f"{path}: expected a file that ends in .json or .csv")
    if path.exists() and not overwrite:
        raise ResultsError(f"{path} exists; name another file, or replace it with --overwrite")


def _of_dataset(model: TrainedModel, data: Data, split: SplitName, data_root: Path | None) -> AnnotatedImages:
    dataset = dataset_of(data, data_root)
    part, rows_M = _rows_of(dataset, data, split)
    if not len(rows_M):
        raise DataError(f"{dataset.name}: no image is held out for validation; take --split test")
    return AnnotatedImages(
        described=f"the {split} images of {dataset.name}",
        source=images_of(part),
        store=data.store,
        rows_M=rows_M,
        labels_MC=dense_rows(part.labels_NC, rows_M)[:, _columns(model.classes, dataset)],
    )


def _rows_of(dataset: Dataset, data: Data, split: SplitName) -> tuple[Split, npt.NDArray[np.int64]]:
    if split == "test":
        return dataset.test, np.arange(len(dataset.test))
    train, validation = train_and_validation_rows(
        dataset, data.validation.fraction, data.validation.seed, hold_out=data.holds_out
    )
    return dataset.train, train if split == "train" else validation


def _columns(classes: Sequence[str], dataset: Dataset) -> list[int]:
    """Where a model's classes stand among a dataset's."""
    if sorted(classes) != sorted(dataset.classes):
        unknown = [name for name in dataset.classes if name not in classes]
        lacking = [name for name in classes if name not in dataset.classes]
        raise DataError(
            f"{dataset.name}: expected labels of the model's {len(classes):,} classes; "
            f"{_few(lacking, 'are missing')}{'; ' if lacking and unknown else ''}{_few(unknown, 'are unknown to it')}"
        )
    return [dataset.classes.index(name) for name in classes]


def _few(names: Sequence[str], what: str) -> str:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names):,} {what} ({shown})" if names else ""


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
