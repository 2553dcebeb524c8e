"""Files of labels made for a test, and what the readers make of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wsml_study.data.dataset import Dataset
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError

NAMES = tuple(f"{number:02}.png" for number in range(10))
ROWS = ["0,1,0.5", "1,0,0.1", "1,1,0.2", "0,0,0.9", "1,0,0.4"]
"""Of ARFF files with two labels and a feature."""


def touch(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def read_table(
    folder: Path, content: str | bytes, *, names: Sequence[str] = NAMES, file: str = "labels.csv", **keys: Any
) -> Dataset:
    (folder / "images").mkdir(exist_ok=True)
    touch(folder / "images", names)
    (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_dataset("table", root=folder / "images", labels=LabelFiles(file=str(folder / file), **keys))


def read_parquet(folder: Path, table: pa.Table, **keys: Any) -> Dataset:
    (folder / "images").mkdir(exist_ok=True)
    touch(folder / "images", NAMES)
    pq.write_table(table, folder / "labels.parquet")
    return read_dataset("table", root=folder / "images", labels=LabelFiles(file=str(folder / "labels.parquet"), **keys))


def read_coco(folder: Path, content: object, **keys: Any) -> Dataset:
    (folder / "images").mkdir(exist_ok=True)
    touch(folder / "images", NAMES)
    (folder / "labels.json").write_text(json.dumps(content))
    return read_dataset(
        "coco_json", root=folder / "images", labels=LabelFiles(file=str(folder / "labels.json"), **keys)
    )


def read_arff(folder: Path, text: str, **keys: Any) -> Dataset:
    (folder / "data.arff").write_text(text)
    return read_dataset("features", root=folder, features=FeatureFiles(file="data.arff", **keys))


def shown(dataset: Dataset) -> dict[str, set[str]]:
    """The classes that each image shows."""
    return {
        name: {label for label, state in zip(dataset.classes, labels_C, strict=True) if state == 1}
        for split in (dataset.train, dataset.test)
        for name, labels_C in zip(split.names, np.asarray(split.labels_NC), strict=True)
    }


def states(dataset: Dataset) -> dict[str, list[int]]:
    return {
        name: labels_C.tolist()
        for split in (dataset.train, dataset.test)
        for name, labels_C in zip(split.names, np.asarray(split.labels_NC), strict=True)
    }


def refusal(error: pytest.ExceptionInfo[DataError]) -> str:
    text = str(error.value)
    assert len(text.splitlines()) <= 20, text
    return text


def csv(*rows: str, heading: str = "image,tags") -> str:
    return "\n".join([heading, *rows]) + "\n"


def coco(
    images: Sequence[dict[str, Any]] | None = None,
    categories: Sequence[dict[str, Any]] = ({"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}),
    annotations: Iterable[tuple[object, object]] = (),
) -> dict[str, Any]:
    if images is None:
        images = [{"id": number, "file_name": name} for number, name in enumerate(NAMES)]
    pairs = [{"image_id": image, "category_id": category} for image, category in annotations]
    return {"images": list(images), "categories": list(categories), "annotations": pairs}
