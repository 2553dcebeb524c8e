"""Pascal VOC 2012 and 2007 from their own layout: `ImageSets/Main/<class>_<image set>.txt` and `JPEGImages`.

A line of such a file is an image and 1 (present), -1 (absent) or 0 (present but difficult), as in `2008_000002 -1`.

Protocol of Cole et al., CVPR 2021: "difficult" counts as absent; an image without any class present is left out; images
are in the order of their file names. Shapes: N images, C = 20 classes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.label_states import NEGATIVE, POSITIVE, Labels
from wsml_study.data.problem_list import data_error
from wsml_study.errors import DataError

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

STATES = {"1": POSITIVE, "0": NEGATIVE, "-1": NEGATIVE}
"""What a number in the files means; 0 is "difficult"."""


@dataclass(frozen=True, kw_only=True)
class Edition:
    """One year of the challenge.

    Attributes:
        dataset: our name for it.
        folder: what its archives call its folder.
        train_set: the image set to train on.
        test_set: the image set to test on.
        archives: where each image set is downloaded from.
    """

    dataset: str
    folder: str
    train_set: str
    test_set: str
    archives: dict[str, str]


VOC2007 = Edition(
    dataset="voc2007",
    folder="VOC2007",
    train_set="trainval",
    test_set="test",
    archives={
        "trainval": "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar",
        "test": "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtest_06-Nov-2007.tar",
    },
)
VOC2012 = Edition(
    dataset="voc2012",
    folder="VOC2012",
    train_set="train",
    test_set="val",
    archives=dict.fromkeys(
        ("train", "val"), "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"
    ),
)


def read_voc2007(root: Path) -> Dataset:
    """VOC 2007, trained on `trainval` and tested on `test`; arguments and errors as in `read_voc2012`."""
    return _read(VOC2007, root)


def read_voc2012(root: Path) -> Dataset:
    """VOC 2012, trained on its `train` and tested on its `val` set, since the labels of its test set are secret.

    Args:
        root: the folder with `ImageSets` and `JPEGImages` in it, or a folder above it, as the archives unpack.

    Raises:
        DataError: a file or image is missing, malformed, or contradicts another.
    """
    return _read(VOC2012, root)


def read_image_set(folder: Path, image_set: str, *, source: str = "the edition's archive") -> tuple[list[str], Labels]:
    """Image file names, ascending, and labels (N, C) int8 of one image set.

    Args:
        folder: the one with `ImageSets` in it. Files in it that belong to no class and image set do not matter.
        image_set: train, val, trainval or test.
        source: where a missing file comes from, for the error.

    Raises:
        DataError: a class file is missing or malformed, or lists other images than the others do.
    """
    files = [folder / "ImageSets" / "Main" / f"{name}_{image_set}.txt" for name in CLASSES]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise data_error(files[0].parent, [f"no file {name}" for name in missing], remedy=f"unpack {source} there")

    states_by_class = [_read_class_file(file) for file in files]
    images = sorted(set().union(*states_by_class))
    problems = [
        f"{image} is not listed in {file.name}, but in other files of `{image_set}`"
        for file, states in zip(files, states_by_class, strict=True)
        for image in images
        if image not in states
    ]
    if problems:
        raise data_error(files[0].parent, problems, remedy=f"unpack {source} again")

    labels_NC = np.array([[states[image] for states in states_by_class] for image in images], dtype=np.int8)
    labels_NC = labels_NC.reshape(len(images), len(CLASSES))
    shows_a_class_N = (labels_NC == POSITIVE).any(axis=1)
    kept = [f"{image}.jpg" for image, shows_a_class in zip(images, shows_a_class_N, strict=True) if shows_a_class]
    return kept, labels_NC[shows_a_class_N]


def _read(edition: Edition, root: Path) -> Dataset:
    folder = _find_folder(edition, root)
    photos = _list_photos(edition, folder)
    return Dataset(
        name=edition.dataset,
        classes=CLASSES,
        train=_read_split(edition, folder, edition.train_set, photos),
        test=_read_split(edition, folder, edition.test_set, photos),
        image_size=448,
        horizontal_flip=True,
        channels=3,
        train_boxes=folder / "Annotations",
    )


def _find_folder(edition: Edition, root: Path) -> Path:
    """The folder with `ImageSets/Main`: the root, or below it as the archives unpack."""
    for folder in (root, root / edition.folder, root / "VOCdevkit" / edition.folder):
        if (folder / "ImageSets" / "Main").is_dir():
            _check_edition(edition, folder)
            return folder
    archives = " and ".join(dict.fromkeys(edition.archives.values()))
    if (root / "Annotations").is_dir():
        archives += "; for the files in Annotations without it, say `dataset: voc_xml`,"
    raise DataError(
        f"{root}: expected ImageSets/Main in it, or in {edition.folder} or VOCdevkit/{edition.folder} below it; "
        f"download and unpack {archives}, and give the folder as data.root"
    )


def _check_edition(edition: Edition, folder: Path) -> None:
    """Both editions have the same layout, so that one would be read as the other without a word."""
    for other in (VOC2007, VOC2012):
        if other is not edition and folder.resolve().name == other.folder:
            raise DataError(
                f"{folder}: expected {edition.folder}, found the folder of {other.folder}; "
                f"say `dataset: {other.dataset}` or give another root"
            )


def _list_photos(edition: Edition, folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder / "JPEGImages"))  # noqa: PTH208  only names: one call for all images
    except OSError as error:
        archives = " and ".join(dict.fromkeys(edition.archives.values()))
        raise DataError(f"{folder / 'JPEGImages'}: {error.strerror}; unpack {archives}") from error


def _read_split(edition: Edition, folder: Path, image_set: str, photos: frozenset[str]) -> Split:
    source = edition.archives[image_set]
    names, labels_NC = read_image_set(folder, image_set, source=source)
    if not names:
        raise DataError(f"{folder / 'ImageSets' / 'Main'}: no image of `{image_set}` shows any class; unpack {source}")
    missing = [f"no image {name}, which `{image_set}` lists" for name in names if name not in photos]
    if missing:
        raise data_error(folder / "JPEGImages", missing, remedy=f"unpack {source} again")
    return Split(
        names=tuple(names), labels_NC=labels_NC, images=ImageFiles(folder=folder / "JPEGImages", names=tuple(names))
    )


def _read_class_file(file: Path) -> dict[str, int]:
    """Image -> state. Raises DataError with the numbers of all lines that are not an image and a number."""
    states: dict[str, int] = {}
    problems = []
    for number, words in _lines(file):
        if len(words) != 2 or words[1] not in STATES:
            problems.append(f"{file.name}:{number}: expected an image and 1, 0 or -1, got {' '.join(words)!r}")
        elif words[0] in states:
            problems.append(f"{file.name}:{number}: image {words[0]} is listed twice")
        else:
            states[words[0]] = STATES[words[1]]
    if problems:
        raise data_error(file.parent, problems, remedy="compare with the original archive")
    return states


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and words of each line that is not blank; line ends may be LF or CRLF."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.split():
            yield number, words
