"""Labels of the user's own: a table, the list format that public code shares, a COCO-style file, given features.

With labels of their own, users name the source of the test images: a second file, a column of the table, or a
fraction of the images drawn at random. Shapes: N images, C classes.
"""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, GivenFeatures, ImageFiles, ImageSource, Split
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.label_states import Labels, draw_groups
from wsml_study.data.name_hints import explained, files_below
from wsml_study.data.problem_list import Problems, cut, shown
from wsml_study.data.text_lines import absent
from wsml_study.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = {"train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}
"""What a split may be called, and what it is."""

GROUP_REMEDY = (
    "put all images of a group into the same split, in the list, file or column that says it, or let `test_fraction` "
    "draw whole groups; or leave out `group_column`"
)

MOST_PLACES = 4
"""Of an image that is listed more than once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """What one file of labels holds.

    Attributes:
        file: where it was read from.
        classes: C names.
        names: N image files, relative to the folder of the images.
        folder: of the images, where the file of labels holds them itself; None if they are in the user's folder.
        labels_NC: int8 states.
        parts_N: which split each image belongs to, where the file says so.
        groups_N: which images belong together, such as those of a patient, where the file says so.
        places_N: where in the file each image is listed, for messages.
        notices: what the user should know of the file.
    """

    file: Path
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels_NC: Labels
    parts_N: tuple[str, ...] | None = None
    groups_N: tuple[str, ...] | None = None
    places_N: tuple[str, ...] | None = None
    notices: tuple[str, ...] = ()
    folder: Path | None = None

    @classmethod
    def joined(cls, where: Path, by_part: Mapping[str, Labelled]) -> Labelled:
        """Files of several splits joined together.

        Raises:
            DataError: they have other classes.
        """
        first, *others = by_part.values()
        for other in others:
            _check_classes(first, other)
        return cls(
            file=where,
            classes=first.classes,
            names=tuple(name for one in by_part.values() for name in one.names),
            labels_NC=np.concatenate([one.labels_NC for one in by_part.values()]),
            parts_N=tuple(part for part, one in by_part.items() for _ in one.names),
            places_N=tuple(one.place(row) for one in by_part.values() for row in range(len(one.names))),
            notices=tuple(dict.fromkeys(notice for one in by_part.values() for notice in one.notices)),
        )

    def home(self, root: Path | None) -> Path:
        """The folder of the images.

        Raises:
            DataError: nothing says it.
        """
        if self.folder is None and root is None:
            raise DataError(f"{self.file}: expected the folder of the images that it names; give it as data.root")
        return self.folder or root or Path()

    def place(self, row: int) -> str:
        """Where an image is listed."""
        return self.file.name if self.places_N is None else self.places_N[row]


SourceOf = Callable[[Labelled, npt.NDArray[np.int64]], ImageSource | GivenFeatures]
"""Gives the images, or features, of some rows of what one file of labels holds."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Rows of all that is labelled, by what they are for.

    Attributes:
        train: to train on, and to draw validation images from.
        test: to test on.
        validation_rows: positions within `train` to validate on, where the labels say which.
        groups: which images of `train` belong together, where the labels say so.
    """

    train: Split
    test: Split
    validation_rows: tuple[int, ...] | None
    groups: tuple[str, ...] | None = None


def own_dataset(name: str, root: Path | None, files: LabelFiles, first: Labelled, second: Labelled | None) -> Dataset:
    """A dataset of the user's own images.

    Args:
        name: as in the study file.
        root: folder of the images; None where the labels hold them.
        files: how the images are split.
        first: labels to train on, or of all images.
        second: labels to test on, where they have a file of their own.

    Raises:
        DataError: images are missing, listed twice or in both files, or a split is empty.
    """
    first = located(first, root)
    second = None if second is None else located(second, root)
    check_listed_once([first] if second is None else [first, second], root)

    def images_of(labelled: Labelled, rows_M: npt.NDArray[np.int64]) -> ImageSource:
        return ImageFiles(folder=labelled.home(root), names=tuple(labelled.names[row] for row in rows_M))

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
        groups=parts.groups,
        notices=tuple(dict.fromkeys((*first.notices, *(second.notices if second else ())))),
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
        return Parts(train=everything[0], test=everything[1], validation_rows=None, groups=first.groups_N)
    parts_N = first.parts_N or _draw_parts(len(first.names), test_fraction, seed, first.groups_N)
    _check_groups(first, parts_N)
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
        groups=None if first.groups_N is None else tuple(first.groups_N[row] for row in to_train_with),
    )


def _check_classes(first: Labelled, second: Labelled) -> None:
    if first.classes != second.classes:
        lacking = sorted(set(first.classes) ^ set(second.classes))
        raise DataError(
            f"{second.file}: expected the classes of {first.file} in the same order; "
            + (f"only one of the two has {', '.join(map(shown, lacking[:5]))}" if lacking else "the order differs")
        )


def _check_two_files(first: Labelled, second: Labelled) -> None:
    _check_classes(first, second)
    if both := set(first.names) & set(second.names):
        problems = Problems()
        for row, name in enumerate(second.names):
            if name in both:
                other = first.place(first.names.index(name)) if len(problems) < MOST_PLACES else first.file.name
                problems.add(
                    "images in both files", f"{second.place(row)}: {name} is in {first.file.name} as well ({other})"
                )
        raise problems.error(second.file, remedy="test on other images")
    if first.groups_N is not None and second.groups_N is not None:
        both_groups = set(first.groups_N) & set(second.groups_N)
        _refuse_groups(second, [row for row, group in enumerate(second.groups_N) if group in both_groups])


def _check_groups(labelled: Labelled, parts_N: Sequence[str]) -> None:
    """No group is on both sides of a split that the labels say."""
    if labelled.groups_N is None:
        return
    first_part: dict[str, str] = {}
    rows = []
    for row, (group, part) in enumerate(zip(labelled.groups_N, parts_N, strict=True)):
        if first_part.setdefault(group, part) != part:
            rows.append(row)
    _refuse_groups(labelled, rows)


def _refuse_groups(labelled: Labelled, rows: Sequence[int]) -> None:
    if not rows:
        return
    assert labelled.groups_N is not None
    problems = Problems()
    for row in rows:
        group, name = labelled.groups_N[row], labelled.names[row]
        problems.add(
            "groups in two splits", f"{labelled.place(row)}: {name}: its group {shown(group)} is in another split too"
        )
    raise problems.error(labelled.file, remedy=GROUP_REMEDY)


def _split(labelled: Labelled, rows_M: npt.NDArray[np.int64], source_of: SourceOf) -> Split:
    names = tuple(labelled.names[row] for row in rows_M)
    return Split(names=names, labels_NC=labelled.labels_NC[rows_M], images=source_of(labelled, rows_M))


def _draw_parts(num_images: int, test_fraction: float, seed: int, groups_N: tuple[str, ...] | None) -> tuple[str, ...]:
    """A random fraction of the images to test on; the same seed draws the same. Groups stay together."""
    parts_N = np.full(num_images, TRAIN, dtype=object)
    if groups_N is not None:
        parts_N[draw_groups(groups_N, test_fraction, seed)] = TEST
        return tuple(parts_N)
    order = np.random.RandomState(seed).permutation(num_images)
    parts_N[order[: round(test_fraction * num_images)]] = TEST
    return tuple(parts_N)


def check_listed_once(lists: Sequence[Labelled], root: Path | None = None) -> None:
    """Raise DataError, with both places, if an image is listed twice, be it under two spellings of its path.

    Args:
        lists: what was read, of files that are used together.
        root: folder of the images; None for names that are not of files.
    """
    spelled = cache(lambda folder: os.path.realpath(root / folder) if root is not None else folder)
    problems = Problems()
    for labelled in lists:
        rows: dict[object, list[int]] = defaultdict(list)
        for row, name in enumerate(labelled.names):
            rows[_key(name, spelled)].append(row)
        for repeated in rows.values():
            if len(repeated) > 1:
                _tell_repeated(labelled, repeated, problems)
    if problems:
        raise problems.error(lists[0].file, remedy="list each image once, with all its labels")
    if len(lists) > 1 and root is not None:
        _check_two_spellings(lists[0], lists[1], spelled)


def _key(name: str, spelled: Callable[[str], str]) -> object:
    """The same for two names of one file, as far as folders decide it."""
    folder, _, last = name.rpartition("/")
    return spelled(folder), last


def _tell_repeated(labelled: Labelled, rows: Sequence[int], problems: Problems) -> None:
    names = [labelled.names[row] for row in rows]
    places = " and ".join(labelled.place(row) for row in rows[:MOST_PLACES])
    if len(set(names)) == 1:
        problems.add("images listed more than once", f"{names[0]} is listed more than once: {places}")
    else:
        told = " and ".join(dict.fromkeys(map(shown, names)))
        problems.add("images under two names", f"{told} are one image, listed more than once: {places}")


def _check_two_spellings(first: Labelled, second: Labelled, spelled: Callable[[str], str]) -> None:
    """The same name in both files is reported by `_check_two_files`; this looks for two spellings."""
    places = {_key(name, spelled): row for row, name in enumerate(first.names)}
    problems = Problems()
    for row, name in enumerate(second.names):
        other = places.get(_key(name, spelled))
        if other is not None and first.names[other] != name:
            problems.add(
                "images in both files",
                f"{second.place(row)}: {shown(name)} is {shown(first.names[other])}, which {first.place(other)} lists",
            )
    if problems:
        raise problems.error(second.file, remedy="test on other images")


def located(labelled: Labelled, root: Path | None) -> Labelled:
    """The same with names relative to the folder of the images, all of which are there.

    Raises:
        DataError: images are not there; the message says what the folder has instead.
    """
    root = labelled.home(root)
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder with the images; give it as data.root")
    names = tuple(_relative(name, root) if name.startswith("/") else name for name in labelled.names)
    labelled = replace(labelled, names=names)
    missing = set(absent(root, list(names)))
    if not missing:
        return labelled
    problems = Problems()
    places = dict[str, int]()
    for row, name in enumerate(names):
        if name in missing:
            places.setdefault(name, row)
    reasons = list(explained(places, files_below(root)))
    in_folders = _where_images_are(reasons, root)
    remedy = (
        "write names as the folder has them, put the images there, take them off the list, or give another data.root"
    )
    for name, instead, cause in reasons:
        place = labelled.place(places[name])
        if instead is None:
            at = "" if labelled.places_N is None else f" ({place})"
            problems.add("no such image", f"no image {cut(name)}, which {labelled.file.name} lists{at}", remedy=remedy)
        else:
            assert cause is not None
            told = f"the folder has {shown(instead)}; {place} says {shown(name)} ({cause})"
            problems.add(cause, told, remedy=in_folders or remedy)
    raise problems.error(root, notices=labelled.notices)


def _where_images_are(reasons: Sequence[tuple[str, str | None, str | None]], root: Path) -> str | None:
    """The remedy if all images that were found under other names are just in folders below the root."""
    found = [(name, instead) for name, instead, _ in reasons if instead is not None]
    if not found or not all(instead.endswith(f"/{name}") for name, instead in found):
        return None
    folders = {instead.removesuffix(name) for name, instead in found}
    if len(folders) == 1:
        return f"give `root: {root / folders.pop()}` under data"
    return (
        f"the images are in {len(folders):,} folders below {root}: write the folder into each name, or put all images, "
        "or links to them, into one folder and give it as data.root"
    )


def _relative(name: str, root: Path) -> str:
    """An absolute name relative to the root, if it lies within."""
    path = posixpath.normpath(name)
    for folder in (str(root.absolute()), os.path.realpath(root)):
        if path.startswith(folder.rstrip("/") + "/"):
            return path[len(folder.rstrip("/")) + 1 :]
    return name
