"""Images of the user's own with objects annotated as COCO has them: `images`, `categories` and `annotations`."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wsml_study.data.coco import Instances, read_instances
from wsml_study.data.dataset import Dataset
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.own_labels import TEST, TRAIN, VALIDATION, Labelled, own_dataset
from wsml_study.data.problem_list import shown
from wsml_study.errors import DataError

REMEDY = (
    "give a file as COCO has it as `file` under data.labels; other programs export one, or Pascal VOC's XML (dataset: "
    "voc_xml), or write a table (dataset: table)"
)
EXPORTED = "_annotations.coco.json"
FOLDERS = {"train": TRAIN, "valid": VALIDATION, "test": TEST}
"""Of an export by Roboflow, each with its images and a file of their objects."""


def read_coco_json(root: Path, files: LabelFiles) -> Dataset:
    """A class is present where at least one of its objects is annotated, and absent elsewhere.

    Where images say which categories were looked for in vain, as LVIS does, all others are unobserved. A category
    without objects that is only the super-category of others is left out. `file` may be a folder with Roboflow's train,
    valid and test in it.

    Raises:
        DataError: a file or image is missing or malformed.
    """
    file = Path(files.file)
    if file.is_dir():
        return own_dataset("coco_json", root, files, _read_export(file, root, files), None)
    read = [read_instances(file, remedy=REMEDY)]
    if files.test_file is not None:
        read.append(read_instances(Path(files.test_file), remedy=REMEDY))
    placeholders = _placeholders(read)
    first, *others = (_labelled(one, placeholders) for one in read)
    dataset = own_dataset("coco_json", root, files, first, others[0] if others else None)
    return replace(dataset, train_boxes=file)


def _labelled(read: Instances, placeholders: frozenset[str], prefix: str = "") -> Labelled:
    categories = [one for one in sorted(read.categories) if read.categories[one] not in placeholders]
    if not categories:
        raise DataError(f"{read.file}: expected categories, got none; {REMEDY}")
    if not read.images:
        raise DataError(f"{read.file}: expected images, got none; {REMEDY}")
    notices = []
    if placeholders:
        names = ", ".join(map(shown, sorted(placeholders)))
        notices.append(f"left out as a class: {names}, which has no object and is only the super-category of others")
    if read.missing is not None:
        notices.append(
            f"{read.file.name} says which classes were looked for (neg_category_ids, as LVIS has them): all others are "
            f"unobserved"
        )
    return Labelled(
        file=read.file,
        classes=tuple(read.categories[one] for one in categories),
        names=tuple(f"{prefix}{name}" for name in read.images.values()),
        labels_NC=read.labels(list(read.images), categories),
        places_N=tuple(f"{read.file.name}: image {image!r}" for image in read.images),
        notices=tuple(notices),
    )


def _placeholders(read: Sequence[Instances]) -> frozenset[str]:
    """Names of categories that stand for no object in any of the files."""
    return frozenset.intersection(*(frozenset(one.categories[each] for each in one.placeholders) for one in read))


def _read_export(folder: Path, root: Path, files: LabelFiles) -> Labelled:
    """The three folders of Roboflow, joined into one table with a column of splits."""
    found = {part: folder / part / EXPORTED for part in FOLDERS if (folder / part / EXPORTED).is_file()}
    if "train" not in found or files.test_file is not None:
        raise DataError(
            f"{folder}: expected a COCO file, or a folder with train/{EXPORTED} and test/{EXPORTED} and no `test_file`"
        )
    if not folder.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{folder}: lies outside of {root}, the folder of the images; give {folder} as data.root")
    read = {part: read_instances(file, remedy=REMEDY) for part, file in found.items()}
    placeholders = _placeholders(list(read.values()))
    inside = folder.resolve().relative_to(root.resolve()).as_posix()
    labelled = {
        part: _labelled(one, placeholders, posixpath.normpath(f"{inside}/{part}") + "/") for part, one in read.items()
    }
    return Labelled.joined(folder, {FOLDERS[part]: one for part, one in labelled.items()})
