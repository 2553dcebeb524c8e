"""Visual Genome as the literature of multi-label classification uses it: names of objects as classes.

Two layouts:

- lists of SSGRL (Chen et al., ICCV 2019), for VG-500 and VG-200: `train_list_500.txt` and `test_list_500.txt` with an
  image a line, and `vg_category_<number>_labels_index.json`, which gives the numbers of the classes of each image;
- the release's `objects.json` with a list of classes and a list of test images of the user's own, as for VG-256. An
  image shows a class where one of its objects has its name, or a name or synset (`tree.n.01`) that the same line of the
  list gives behind it; lines of the release's `object_alias.txt` are of that form.

What is not annotated counts as absent, as in the literature. Images are in `VG_100K` and `VG_100K_2`, as they unpack,
or all in one of them. Shapes: N images, C classes, in the order of their numbers or of the list.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.hub_files import local_path
from wsml_study.data.json_records import read_json, read_records
from wsml_study.data.label_states import NEGATIVE, POSITIVE, Labels
from wsml_study.data.problem_list import Problems, data_error, shown
from wsml_study.data.text_lines import numbered_lines
from wsml_study.errors import DataError

REMEDY = "download and unpack it from https://homes.cs.washington.edu/~ranjay/visualgenome/api.html"
LISTS_REMEDY = "download it from https://github.com/HCPLab-SYSU/SSGRL (data/VG)"
FOLDERS = ("VG_100K", "VG_100K_2", "images")
INDEX = re.compile(r"vg_category_(\d+)_labels_index\.json")


def read_visual_genome(root: Path, class_list: str | None = None, test_list: str | None = None) -> Dataset:
    """Visual Genome; with the lists of VG-500, 82,904 images to train on and 10,000 to test on.

    Args:
        root: the folder with the lists or `objects.json`, and the images.
        class_list: a file with the names of the classes, one a line; needed for `objects.json`, and for names in place
            of numbers elsewhere.
        test_list: for `objects.json`: a file with the images to test on, one a line.

    Raises:
        DataError: a file or image is missing or malformed, or both layouts are there, or neither.
    """
    indexes = sorted(path for path in root.glob("vg_category_*.json") if INDEX.fullmatch(path.name))
    if len(indexes) > 1:
        raise DataError(
            f"{root}: expected one of {', '.join(path.name for path in indexes)}, got all; move the others away"
        )
    if indexes:
        if test_list is not None:
            raise DataError(f"data.test_list: {indexes[0].name} goes with test_list_*.txt in {root}; leave the key out")
        classes, states, listed = _indexed(root, indexes[0], class_list)
    else:
        classes, states, listed = _objects(root, class_list, test_list)
    paths = _image_paths(root)
    train, test = (_split(root, listed[part], states, len(classes), paths) for part in ("train", "test"))
    return Dataset(
        name="visual_genome",
        classes=classes,
        train=train,
        test=test,
        image_size=448,
        horizontal_flip=True,
        channels=3,
        notices=("classes that no annotated object of an image has count as absent",),
    )


Positives = Mapping[str, Sequence[int]]
"""Image file -> numbers of the classes that it shows."""


def _indexed(
    root: Path, index: Path, class_list: str | None
) -> tuple[tuple[str, ...], Positives, dict[str, list[str]]]:
    """Classes, positives and images by part, from SSGRL's lists."""
    numbered = INDEX.fullmatch(index.name)
    assert numbered is not None
    num_classes = int(numbered[1])
    classes = tuple(f"class {number}" for number in range(num_classes))
    if class_list is not None:
        classes, _ = _read_classes(local_path(class_list))
        if len(classes) != num_classes:
            raise DataError(f"{class_list}: expected {num_classes:,} names, as {index.name} says, got {len(classes):,}")
    content = read_json(index, remedy=LISTS_REMEDY)
    if not isinstance(content, dict):
        raise DataError(f"{index}: expected numbers of classes by image, got a list; {LISTS_REMEDY}")
    problems = Problems()
    for image, numbers in content.items():
        if not isinstance(numbers, list) or not all(type(one) is int and 0 <= one < num_classes for one in numbers):
            expected = f"numbers of classes from 0 to {num_classes - 1}"
            problems.add("classes", f"{image}: expected {expected}, got {shown(numbers)}")
    if problems:
        raise problems.error(index, remedy=LISTS_REMEDY)
    listed = {part: _read_list(_list_file(root, part, num_classes), content, index.name) for part in ("train", "test")}
    _check_apart(root, listed)
    return classes, content, listed


def _list_file(root: Path, part: str, num_classes: int) -> Path:
    """The list for the number of classes; that of VG-500 goes with its first 200 classes too."""
    file = root / f"{part}_list_{num_classes}.txt"
    others = sorted(root.glob(f"{part}_list_*.txt"))
    return others[0] if not file.exists() and len(others) == 1 else file


def _read_list(file: Path, known: Mapping[str, object], where: str, *, remedy: str = LISTS_REMEDY) -> list[str]:
    places: dict[str, int] = {}
    problems = Problems()
    for number, image in numbered_lines(file, remedy=remedy):
        if image in places:
            problems.add("images", f"{file.name}:{number}: {image} is listed in line {places[image]} already")
        elif image not in known:
            problems.add("unknown images", f"{file.name}:{number}: {where} has no {shown(image)}")
        places.setdefault(image, number)
    if problems:
        raise problems.error(file, remedy=remedy)
    return list(places)


def _check_apart(root: Path, listed: Mapping[str, Sequence[str]]) -> None:
    if both := sorted(set(listed["train"]) & set(listed["test"])):
        raise data_error(root, [f"{image} is in both lists" for image in both], remedy=LISTS_REMEDY)


def _objects(
    root: Path, class_list: str | None, test_list: str | None
) -> tuple[tuple[str, ...], Positives, dict[str, list[str]]]:
    """As `_indexed`, from the release's objects."""
    file = root / "objects.json"
    if not file.exists():
        raise DataError(
            f"{root}: expected vg_category_500_labels_index.json ({LISTS_REMEDY}), or objects.json ({REMEDY})"
        )
    if class_list is None or test_list is None:
        lacking = "class_list" if class_list is None else "test_list"
        raise DataError(f"data.{lacking}: expected a file, since {file} names neither classes nor test images")
    classes, columns = _read_classes(local_path(class_list))
    positives: dict[str, Sequence[int]] = {}
    problems = Problems()
    for record in read_records(file, {"image_id": int, "objects": list}, remedy=REMEDY):
        image = f"{record['image_id']}.jpg"
        if image in positives:
            problems.add("images", f"image {record['image_id']} is there twice")
        try:
            texts = {text for one in record["objects"] for key in ("names", "synsets") for text in one.get(key) or ()}
        except (TypeError, AttributeError):
            problems.add("objects", f"image {record['image_id']}: expected objects with `names` and `synsets`")
            continue
        positives[image] = sorted({columns[name] for name in map(_folded, texts) if name in columns})
    if problems:
        raise problems.error(file, remedy=REMEDY)
    remedy = "list images such as 2318741.jpg, which objects.json has"
    test = _read_list(local_path(test_list), positives, file.name, remedy=remedy)
    chosen = set(test)
    return classes, positives, {"train": [image for image in positives if image not in chosen], "test": test}


def _read_classes(file: Path) -> tuple[tuple[str, ...], dict[str, int]]:
    """Names of the classes, and the column of each name, alias and synset."""
    classes, columns = list[str](), dict[str, int]()
    problems = Problems()
    for number, line in numbered_lines(file, remedy="give the names of the classes, one a line, as data.class_list"):
        names = [name.strip() for name in line.split(",") if name.strip()]
        if not names:
            problems.add("empty lines", f"{file.name}:{number}: expected the name of a class, got {shown(line)}")
            continue
        for name in dict.fromkeys(map(_folded, names)):
            if columns.setdefault(name, len(classes)) != len(classes):
                problems.add("names", f"{file.name}:{number}: {name} is {shown(classes[columns[name]])} already")
        classes.append(names[0])
    if problems or not classes:
        raise problems.error(file) if problems else DataError(f"{file}: expected a class a line, got none")
    return tuple(classes), columns


def _folded(name: object) -> str:
    return str(name).strip().casefold()


def _image_paths(root: Path) -> dict[str, str]:
    """Where below the root each image is, by its name."""
    paths: dict[str, str] = {}
    for folder in FOLDERS:
        if (root / folder).is_dir():
            for name in os.listdir(root / folder):  # noqa: PTH208  only names: one call for all images
                paths.setdefault(name, f"{folder}/{name}")
    return paths


def _split(
    root: Path, images: Sequence[str], positives: Positives, num_classes: int, paths: Mapping[str, str]
) -> Split:
    if missing := [image for image in images if image not in paths]:
        problems = [f"no image {image} in {', '.join(FOLDERS)}" for image in missing]
        raise data_error(root, problems, remedy=f"unpack images.zip and images2.zip there: {REMEDY}")
    if not images:
        raise DataError(f"{root}: expected images to train on and to test on, got none of one kind")
    labels_NC: Labels = np.full((len(images), num_classes), NEGATIVE, dtype=np.int8)
    for labels_C, image in zip(labels_NC, images, strict=True):
        labels_C[list(positives[image])] = POSITIVE
    files = ImageFiles(folder=root, names=tuple(paths[image] for image in images))
    return Split(names=tuple(images), labels_NC=labels_NC, images=files)
