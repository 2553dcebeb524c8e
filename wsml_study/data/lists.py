"""The list format that public code for weakly supervised labels shares: `name,index index ...`, an image a line.

An index that is not listed is a label that is absent. Spaces after the comma do not matter. Names of the classes are in
a file of their own, one a line; without it they are called by their numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsml_study.data.dataset import Dataset
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.label_states import NEGATIVE, POSITIVE
from wsml_study.data.own_labels import Labelled, own_dataset
from wsml_study.data.problem_list import data_error, shown
from wsml_study.data.text_lines import own_lines
from wsml_study.errors import DataError

REMEDY = "give the file as `file` under data.labels"


def read_lists(root: Path, files: LabelFiles) -> Dataset:
    """Images of the user's own with lists of class numbers.

    Raises:
        DataError: a file or image is missing or malformed.
    """
    classes = None if files.classes is None else read_class_names(Path(files.classes), encoding=files.encoding)
    first = read_list(Path(files.file), classes, encoding=files.encoding)
    second = None
    if files.test_file is not None:
        second = read_list(Path(files.test_file), classes or first.classes, encoding=files.encoding)
    return own_dataset("list", root, files, first, second)


def read_list(file: Path, classes: tuple[str, ...] | None, *, encoding: str | None = None) -> Labelled:
    """Labels of a list; a class is positive where it is listed and negative elsewhere.

    Args:
        file: the list.
        classes: C names; None for as many as the largest number in the list needs.
        encoding: of text that is not in UTF-8 or UTF-16.

    Raises:
        DataError: a line is not an image and numbers of classes.
    """
    names: list[str] = []
    places: list[str] = []
    columns_N: list[list[int]] = []
    problems: list[str] = []
    for number, line in own_lines(file, encoding=encoding, remedy=REMEDY):
        name, comma, indices = line.rpartition(",")
        words = indices.split()
        if not comma or not name.strip() or not all(word.isdecimal() for word in words):
            problems.append(
                f"{file.name}:{number}: expected an image, a comma and numbers of classes, got {shown(line)}"
            )
            continue
        names.append(name.strip())
        places.append(f"{file.name}:{number}")
        columns_N.append([int(word) for word in words])
        too_large = [index for index in columns_N[-1] if classes is not None and index >= len(classes)]
        if too_large:
            assert classes is not None
            problems.append(
                f"{file.name}:{number}:{len(name) + 2}: expected classes from 0 to {len(classes) - 1}, "
                f"got {too_large[0]}"
            )
    if problems:
        raise data_error(file, problems, remedy="numbers of classes count from 0")
    if not names:
        raise DataError(f"{file}: no image is listed; {REMEDY}")
    num_classes = max((max(columns, default=-1) for columns in columns_N), default=-1) + 1
    classes = classes or tuple(map(str, range(num_classes)))
    labels_NC = np.full((len(names), len(classes)), NEGATIVE, dtype=np.int8)
    for labels_C, columns in zip(labels_NC, columns_N, strict=True):
        labels_C[columns] = POSITIVE
    return Labelled(file=file, classes=classes, names=tuple(names), labels_NC=labels_NC, places_N=tuple(places))


def read_class_names(file: Path, *, encoding: str | None = None) -> tuple[str, ...]:
    """Names, one a line.

    Args:
        file: the list.
        encoding: of text that is not in UTF-8 or UTF-16.

    Raises:
        DataError: the file is missing, or names a class twice.
    """
    lines = own_lines(file, encoding=encoding, remedy="give the file as `classes` under data.labels")
    names = [line for _, line in lines]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise data_error(file, [f"{name!r} is listed more than once" for name in repeated])
    if not names:
        raise DataError(f"{file}: expected names of classes, one a line, got none")
    return tuple(names)
