"""Labels of the user's own: a table, the list format that public code shares, or a COCO-style file.

Whoever gives labels of their own says where images to test on come from: a second file, a column of the table, or a
fraction of the images drawn at random. Shapes: N images, C classes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, ImageFiles, LabelFiles, Split
from wsml_study.data.label_states import Labels
from wsml_study.data.problem_list import data_error
from wsml_study.data.text_lines import absent
from wsml_study.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = {"train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}
"""What a split may be called, and what it is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """What one file of labels holds.

    Attributes:
        file: where it was read from.
        classes: C names.
        names: N image files, relative to the folder of the images.
        labels_NC: int8 states.
        parts_N: which split each image belongs to, where the file says so.
    """

    file: Path
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels_NC: Labels
    parts_N: tuple[str, ...] | None = None


def own_dataset(name: str, root: Path, files: LabelFiles, first: Labelled, second: Labelled | None) -> Dataset:
    """A dataset of the user's own images.

    Args:
        name: as in the study file.
        root: folder of the images.
        files: how the images are split.
        first: labels to train on, or of all images.
        second: labels to test on, where they have a file of their own.

    Raises:
        DataError: images are missing, listed twice or in both files, or a split is empty.
    """
    for labelled in (first, second):
        if labelled is not None:
            _check_images(labelled, root)
    if second is not None:
        return _of_two_files(name, root, first, second)
    parts_N = first.parts_N or _draw_parts(first, files)
    rows = {part: np.flatnonzero(np.array(parts_N) == part) for part in (TRAIN, VALIDATION, TEST)}
    if not len(rows[TRAIN]) or not len(rows[TEST]):
        raise DataError(
            f"{first.file}: expected images to train on and to test on, got {len(rows[TRAIN]):,} and "
            f"{len(rows[TEST]):,}; give `test_file`, `split_column` or another `test_fraction` under data.labels"
        )
    to_train_with = np.sort(np.concatenate([rows[TRAIN], rows[VALIDATION]]))
    validation = np.flatnonzero(np.isin(to_train_with, rows[VALIDATION])) if len(rows[VALIDATION]) else None
    return _dataset(
        name,
        first.classes,
        _split(root, first, to_train_with),
        _split(root, first, rows[TEST]),
        validation,
    )


def _of_two_files(name: str, root: Path, first: Labelled, second: Labelled) -> Dataset:
    if first.classes != second.classes:
        lacking = sorted(set(first.classes) ^ set(second.classes))
        raise DataError(
            f"{second.file}: expected the classes of {first.file} in the same order; "
            + (f"only one of the two has {', '.join(lacking[:5])}" if lacking else "the order differs")
        )
    if both := sorted(set(first.names) & set(second.names)):
        raise data_error(
            second.file, [f"{image} is in {first.file.name} as well" for image in both], remedy="test on other images"
        )
    rows = [np.arange(len(labelled.names)) for labelled in (first, second)]
    return _dataset(name, first.classes, _split(root, first, rows[0]), _split(root, second, rows[1]), None)


def _dataset(
    name: str, classes: tuple[str, ...], train: Split, test: Split, validation: npt.NDArray[np.int64] | None
) -> Dataset:
    return Dataset(
        name=name,
        classes=classes,
        train=train,
        test=test,
        validation_rows=None if validation is None else tuple(map(int, validation)),
        image_size=448,
        horizontal_flip=True,
        channels=3,
    )


def _split(root: Path, labelled: Labelled, rows_M: npt.NDArray[np.int64]) -> Split:
    names = tuple(labelled.names[row] for row in rows_M)
    return Split(names=names, labels_NC=labelled.labels_NC[rows_M], images=ImageFiles(folder=root, names=names))


def _draw_parts(labelled: Labelled, files: LabelFiles) -> tuple[str, ...]:
    """A random fraction of the images to test on; the same seed draws the same."""
    num_images = len(labelled.names)
    order = np.random.RandomState(files.seed).permutation(num_images)
    parts_N = np.full(num_images, TRAIN, dtype=object)
    parts_N[order[: round(files.test_fraction * num_images)]] = TEST
    return tuple(parts_N)


def _check_images(labelled: Labelled, root: Path) -> None:
    if repeated := [name for name, count in Counter(labelled.names).items() if count > 1]:
        raise data_error(
            labelled.file, [f"{name} is listed more than once" for name in repeated], remedy="list each image once"
        )
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder with the images; give it as data.root")
    if missing := absent(root, list(labelled.names)):
        raise data_error(
            root,
            [f"no image {name}, which {labelled.file.name} lists" for name in missing],
            remedy="put the images there, take them off the list, or give another data.root",
        )
