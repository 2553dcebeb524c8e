"""Images to evaluate a model on: of the dataset that a config names, or of the user's own table or list.

Shapes: N images, M of a split, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, ImageFiles, ImageSource, Split
from wsml_study.data.hub_files import local_path
from wsml_study.data.image_store import Kind
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.label_states import Labels, dense_rows
from wsml_study.data.lists import read_list
from wsml_study.data.observation import train_and_validation_rows
from wsml_study.data.own_labels import check_listed_once, located
from wsml_study.data.table import read_table
from wsml_study.errors import DataError
from wsml_study.inference.datasets import dataset_of, images_of
from wsml_study.inference.model import TrainedModel
from wsml_study.inference.picture_list import TABLES
from wsml_study.study.data_section import Data
from wsml_study.study.reading import read_study

SplitName = Literal["train", "validation", "test"]
STUDIES = (".yaml", ".yml")


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotatedImages:
    """Images with true labels, the columns in the order of a model's classes.

    Attributes:
        described: for messages.
        source: N images, not yet opened.
        store: kind of store for the decoded images; None for the default.
        rows_M: the images of the split.
        names_M: what these are called in their dataset, table or list.
        labels_MC: their states: +1, -1, or 0 if not annotated.
        groups_C: the group of each class, where the dataset has groups of classes (OpenImages V3).
    """

    described: str
    source: ImageSource
    store: Kind | None = None
    rows_M: npt.NDArray[np.int64]
    names_M: tuple[str, ...]
    labels_MC: Labels
    groups_C: tuple[int, ...] | None = None


def annotated_images(
    model: TrainedModel, source: Path | None, *, split: SplitName = "test", data_root: Path | None = None
) -> AnnotatedImages:
    """Images to evaluate a model on.

    Args:
        model: whose classes they are labelled with.
        source: a study file or config, whose dataset it is; a .csv, .tsv or .parquet table of images with a column per
            class; another text file as a list of `name,index index ...`; None for the model's own data.
        split: of a dataset; tables and lists are taken whole.
        data_root: folder of the dataset or the images; by default as the study says, or the folder of the list.

    Raises:
        DataError: files are missing or malformed, or label other classes.
        StudyFileError: the study file is not valid.
    """
    if source is None:
        return _of_dataset(model, model.study.data, split, data_root)
    if source.suffix in STUDIES:
        return _of_dataset(model, read_study(source).data, split, data_root)
    source = local_path(source)
    if not source.is_file():
        raise DataError(f"{source}: expected a study file, a table or a list of labelled images; there is no such file")
    read = read_table(source, LabelFiles(file=str(source)), model.classes) if source.suffix in TABLES else None
    labelled = read or read_list(source, model.classes)
    root = data_root or source.parent
    labelled = located(labelled, root)
    check_listed_once([labelled], root)
    return AnnotatedImages(
        described=str(source),
        source=ImageFiles(folder=labelled.home(root), names=labelled.names),
        rows_M=np.arange(len(labelled.names)),
        names_M=labelled.names,
        labels_MC=labelled.labels_NC,
    )


def _of_dataset(model: TrainedModel, data: Data, split: SplitName, data_root: Path | None) -> AnnotatedImages:
    dataset = dataset_of(data, data_root)
    part, rows_M = _rows_of(dataset, data, split)
    if not len(rows_M):
        raise DataError(f"{dataset.name}: no image is held out for validation; take --split test")
    columns, groups = _columns(model.classes, dataset), dataset.class_groups
    return AnnotatedImages(
        described=f"the {split} images of {dataset.name}",
        source=images_of(part),
        store=data.store,
        rows_M=rows_M,
        names_M=tuple(part.names[row] for row in rows_M.tolist()),
        labels_MC=dense_rows(part.labels_NC, rows_M)[:, columns],
        groups_C=None if groups is None else tuple(groups[column] for column in columns),
    )


def _rows_of(dataset: Dataset, data: Data, split: SplitName) -> tuple[Split, npt.NDArray[np.int64]]:
    if split == "test":
        return dataset.test, np.arange(len(dataset.test))
    train, validation = train_and_validation_rows(
        dataset,
        data.validation.fraction,
        data.validation.seed,
        hold_out=data.holds_out,
        share=data.train_share,
    )
    return dataset.train, train if split == "train" else validation


def _columns(classes: Sequence[str], dataset: Dataset) -> list[int]:
    """Column of each of a model's classes in a dataset's labels."""
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
