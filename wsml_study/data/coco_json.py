"""Images of the user's own with objects annotated as COCO has them: `images`, `categories` and `annotations`."""

from __future__ import annotations

from pathlib import Path

from wsml_study.data.coco import read_instances
from wsml_study.data.dataset import Dataset
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.own_labels import Labelled, own_dataset


def read_coco_json(root: Path, files: LabelFiles) -> Dataset:
    """A class is present where at least one of its objects is annotated, and absent elsewhere.

    Raises:
        DataError: a file or image is missing or malformed.
    """
    second = None if files.test_file is None else _read(Path(files.test_file))
    return own_dataset("coco_json", root, files, _read(Path(files.file)), second)


def _read(file: Path) -> Labelled:
    names, classes, labels_NC = read_instances(
        file, only_annotated=False, remedy="give the file as `file` under data.labels"
    )
    return Labelled(file=file, classes=classes, names=tuple(names), labels_NC=labels_NC)
