"""Labels of the user's own: a table, the list format that public code shares, a COCO-style file, given features.

Whoever gives labels of their own says where images to test on come from: a second file, a column of the table, or a
fraction of the images drawn at random. Shapes: N images, C classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, GivenFeatures, ImageFiles, ImageSource, Split
from wsml_study.data.label_files import LabelFiles
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
        notices: what the user should know of the file.
    """

    file: Path
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels_NC: Labels
    parts_N: tuple[str, ...] | None = None
    notices: tuple[str, ...] = ()


SourceOf = Callable[[Labelled, npt.NDArray[np.int64]], ImageSource | GivenFeatures]
"""Gives the images, or features, of some rows of what one file of labels holds."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Rows of all that is labelled, by what they are for.

    Attributes:
        train: to train on, and to draw validation images from.
        test: to test on.
        validation_rows: positions within `train` to validate on, where the labels say which.
    """

    train: Split
    test: Split
    validation_rows: tuple[int, ...] | None


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
            check_names(labelled)
            check_images(labelled, root)

    def images_of(labelled: Labelled, rows_M: npt.NDArray[np.int64]) -> ImageSource:
        return ImageFiles(folder=root, names=tuple(labelled.names[row] for row in rows_M))

    parts = split_parts(
        first, second, images_of, test_fraction=files.test_fraction, seed=files.seed, section="data.labels"
    )
    return Dataset(
        name=name,
        classes=first.classes,
        train=parts.train,
        test=parts.test,
        validation_rows=parts.validation_rows,
        image_size=448,
        horizontal_flip=True,
        channels=3,
    )


def split_parts(
    first: Labelled, second: Labelled | None, source_of: SourceOf, *, test_fraction: float, seed: int, section: str
) -> Parts:
    """Rows to train on and to test on: as files or their column say, or drawn.

    Args:
        first: labels to train on, or of all rows.
        second: labels to test on, where they have a file of their own.
        source_of: gives images or features.
        test_fraction: share of the rows to test on where nothing else says which.
        seed: of their draw.
        section: of the study file that says all this, for errors.

    Raises:
        DataError: the files have other classes or share rows, or a split is empty.
    """
    if second is not None:
        _check_two_files(first, second)
        everything = [_split(labelled, np.arange(len(labelled.names)), source_of) for labelled in (first, second)]
        return Parts(train=everything[0], test=everything[1], validation_rows=None)
    parts_N = first.parts_N or _draw_parts(len(first.names), test_fraction, seed)
    rows = {part: np.flatnonzero(np.array(parts_N) == part) for part in (TRAIN, VALIDATION, TEST)}
    if not len(rows[TRAIN]) or not len(rows[TEST]):
        raise DataError(
            f"{first.file}: expected images to train on and to test on, got {len(rows[TRAIN]):,} and "
            f"{len(rows[TEST]):,}; give `test_file`, `split_column` or another `test_fraction` under {section}"
        )
    to_train_with = np.sort(np.concatenate([rows[TRAIN], rows[VALIDATION]]))
    validation = np.flatnonzero(np.isin(to_train_with, rows[VALIDATION])) if len(rows[VALIDATION]) else None
    return Parts(
        train=_split(first, to_train_with, source_of),
        test=_split(first, rows[TEST], source_of),
        validation_rows=None if validation is None else tuple(map(int, validation)),
    )


def _check_two_files(first: Labelled, second: Labelled) -> None:
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


def _split(labelled: Labelled, rows_M: npt.NDArray[np.int64], source_of: SourceOf) -> Split:
    names = tuple(labelled.names[row] for row in rows_M)
    return Split(names=names, labels_NC=labelled.labels_NC[rows_M], images=source_of(labelled, rows_M))


def _draw_parts(num_images: int, test_fraction: float, seed: int) -> tuple[str, ...]:
    """A random fraction of the images to test on; the same seed draws the same."""
    order = np.random.RandomState(seed).permutation(num_images)
    parts_N = np.full(num_images, TRAIN, dtype=object)
    parts_N[order[: round(test_fraction * num_images)]] = TEST
    return tuple(parts_N)


def check_names(labelled: Labelled) -> None:
    """Raise DataError if a name is listed twice."""
    if repeated := [name for name, count in Counter(labelled.names).items() if count > 1]:
        raise data_error(
            labelled.file, [f"{name} is listed more than once" for name in repeated], remedy="list each image once"
        )


def check_images(labelled: Labelled, root: Path) -> None:
    """Raise DataError if an image is not there."""
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder with the images; give it as data.root")
    if missing := absent(root, list(labelled.names)):
        raise data_error(
            root,
            [f"no image {name}, which {labelled.file.name} lists" for name in missing],
            remedy="put the images there, take them off the list, or give another data.root",
        )
