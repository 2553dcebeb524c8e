"""CUB-200-2011 with its 312 attributes as classes, from its own layout.

`images.txt` names the images, `train_test_split.txt` says which to train on, `attributes/image_attribute_labels.txt`
which attributes each one shows. Protocol of Cole et al., CVPR 2021: rows follow `images.txt`; an attribute is present
where `is_present` is 1, however certain the annotator was. Shapes: N images, C = 312 attributes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.label_states import NEGATIVE, POSITIVE, Labels
from wsml_study.data.problem_list import data_error
from wsml_study.data.text_lines import absent, first_existing, numbered_lines
from wsml_study.errors import DataError

REMEDY = "download CUB_200_2011.tgz from https://data.caltech.edu/records/65de6-vp158 and unpack it there"


def read_cub(root: Path) -> Dataset:
    """CUB-200-2011: 5,994 images to train on and 5,794 to test on.

    Args:
        root: the folder `CUB_200_2011`, or the one that the archive was unpacked in.

    Raises:
        DataError: a file or image is missing, malformed, or contradicts another.
    """
    folder = first_existing(root / "CUB_200_2011" / "images.txt", root / "images.txt")
    if folder is None:
        raise DataError(f"{root}: expected images.txt in it, or in CUB_200_2011 below it; {REMEDY}")
    home = folder.parent
    names = _by_id(home / "images.txt")
    is_train = _by_id(home / "train_test_split.txt")
    classes = _by_id(_attribute_names(home))
    if names.keys() != is_train.keys() or set(is_train.values()) - {"0", "1"}:
        raise DataError(
            f"{home / 'train_test_split.txt'}: expected 0 or 1 for each of the {len(names):,} images of images.txt, "
            f"got {len(is_train):,} lines; {REMEDY}"
        )
    labels_NC = _labels(home / "attributes" / "image_attribute_labels.txt", names, classes)
    if missing := absent(home / "images", list(names.values())):
        raise data_error(home / "images", [f"no image {name}" for name in missing], remedy=REMEDY)

    train_N = np.array([flag == "1" for flag in is_train.values()])
    ordered = np.array(list(names.values()))

    def split(rows_N: npt.NDArray[np.bool_]) -> Split:
        chosen = tuple(str(name) for name in ordered[rows_N])
        return Split(names=chosen, labels_NC=labels_NC[rows_N], images=ImageFiles(folder=home / "images", names=chosen))

    return Dataset(
        name="cub",
        classes=tuple(classes.values()),
        train=split(train_N),
        test=split(~train_N),
        image_size=448,
        horizontal_flip=True,
        channels=3,
    )


def _attribute_names(home: Path) -> Path:
    """`attributes.txt`, which the archive has beside the folder; other copies keep it in one of two places within."""
    candidates = (home.parent / "attributes.txt", home / "attributes.txt", home / "attributes" / "attributes.txt")
    return first_existing(*candidates) or candidates[0]


def _by_id(file: Path) -> dict[str, str]:
    """Id -> the rest of its line, in the order of the file."""
    entries: dict[str, str] = {}
    problems = []
    for number, line in numbered_lines(file, remedy=REMEDY):
        key, _, value = line.partition(" ")
        if not key.isdecimal() or not value.strip():
            problems.append(f"{file.name}:{number}: expected a number and a name, got {line!r}")
        elif key in entries:
            problems.append(f"{file.name}:{number}: {key} is listed twice")
        else:
            entries[key] = value.strip()
    if problems:
        raise data_error(file.parent, problems, remedy=REMEDY)
    return entries


def _labels(file: Path, names: dict[str, str], classes: dict[str, str]) -> Labels:
    """Labels (N, C); of each line only image, attribute and presence count, since some lines have a column too many."""
    row_by_id = {key: row for row, key in enumerate(names)}
    column_by_id = {key: column for column, key in enumerate(classes)}
    labels_NC = np.full((len(names), len(classes)), NEGATIVE, dtype=np.int8)
    num_lines, problems = 0, []
    for number, line in numbered_lines(file, remedy=REMEDY):
        words = line.split(maxsplit=3)
        try:
            image, attribute, present = row_by_id[words[0]], column_by_id[words[1]], ("0", "1").index(words[2])
        except (KeyError, IndexError, ValueError):
            problems.append(f"{file.name}:{number}: expected a known image, a known attribute and 0 or 1, got {line!r}")
            continue
        num_lines += 1
        if present:
            labels_NC[image, attribute] = POSITIVE
    if not problems and num_lines != labels_NC.size:
        problems.append(f"{num_lines:,} lines, expected {len(names):,} images times {len(classes):,} attributes")
    if problems:
        raise data_error(file, problems, remedy=REMEDY)
    return labels_NC
