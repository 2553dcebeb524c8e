"""MS COCO 2014 and 2017 from their own layout: `annotations/instances_<part><year>.json` and `<part><year>/`.

Protocol of Cole et al., CVPR 2021: trained on `train`, tested on `val`; a class is present where at least one of its
objects is annotated; images without any annotation are left out; image ids are in the order of their text, so that 10
comes before 9. Shapes: N images, C = 80 classes, in the order of their ids.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wsml_study.data.cell_lists import alike_names
from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.foreign_exports import json_advice
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.data.problem_list import Problems, data_error, shown
from wsml_study.data.text_lines import absent, kind_of
from wsml_study.errors import DataError

SOURCE = "http://images.cocodataset.org"
MOST_PLACES = 4
RENUMBER = "number and name all entries anew, each once; put together, two files need ids of their own"
Id: TypeAlias = Any
"""A number, or text in files that programs write."""


def read_coco2014(root: Path) -> Dataset:
    """COCO 2014: 82,081 images to train on and 40,137 to test on.

    Args:
        root: the folder with `annotations`, `train2014` and `val2014` in it.

    Raises:
        DataError: a file or image is missing, malformed, or contradicts another.
    """
    return _read("2014", root)


def read_coco2017(root: Path) -> Dataset:
    """COCO 2017; arguments and errors as in `read_coco2014`."""
    return _read("2017", root)


@dataclass(frozen=True, kw_only=True)
class Instances:
    """A file of annotated objects.

    Attributes:
        file: where it was read from.
        images: id -> file name, in the order of the file.
        categories: id -> name, in the order of the file.
        placeholders: categories that only stand above others, as exports of Roboflow have one.
        present: (image, category) of which there is an object.
        missing: (image, category) that were verified as absent, as in LVIS; None if every image was
            searched for every category.
        not_exhaustive: (image, category) of which there may be more objects than are annotated, as in LVIS.
    """

    file: Path
    images: dict[Id, str]
    categories: dict[Id, str]
    placeholders: frozenset[Id]
    present: frozenset[tuple[Id, Id]]
    missing: frozenset[tuple[Id, Id]] | None
    not_exhaustive: frozenset[tuple[Id, Id]] = frozenset()

    def labels(self, images: Sequence[Id], categories: Sequence[Id]) -> Labels:
        """Labels (N, C) int8 of some images and categories."""
        row_by_id = {image: row for row, image in enumerate(images)}
        column_by_id = {category: column for column, category in enumerate(categories)}
        shape = len(images), len(categories)
        labels_NC = np.full(shape, NEGATIVE if self.missing is None else UNOBSERVED, dtype=np.int8)
        for state, pairs in ((NEGATIVE, self.missing or ()), (POSITIVE, self.present)):
            for image, category in pairs:
                if image in row_by_id and category in column_by_id:
                    labels_NC[row_by_id[image], column_by_id[category]] = state
        return labels_NC


def read_instances(file: Path, *, remedy: str, name_of: Callable[[dict[str, Any]], str] | None = None) -> Instances:
    """Read a file of annotated objects.

    Args:
        file: JSON with `images` (id, file_name), `categories` (id, name) and `annotations` (image_id, category_id);
            images may list `neg_category_ids` and `not_exhaustive_category_ids`, as in LVIS.
        remedy: where the file comes from, for errors.
        name_of: the file name of an entry of `images`; None for `file_name_of`.

    Raises:
        DataError: the file is missing or malformed, an id or name is there twice, or an annotation is of an unknown
            image or category.
    """
    content: Any = None
    try:
        written = file.read_bytes()
        if (other := kind_of(written)) is not None:
            raise ValueError(other)
        # Without their outlines, which take most of the memory, as soon as each object is parsed.
        content = json.loads(written, object_hook=without_outline)
        if not isinstance(content, dict):
            raise ValueError("a list" if isinstance(content, list) else "another value")
        images = [(image["id"], (name_of or file_name_of)(image)) for image in content["images"]]
        categories = [(category["id"], _category_name(category)) for category in content["categories"]]
        above = {str(category.get("supercategory")) for category in content["categories"]}
        present = frozenset((one["image_id"], one["category_id"]) for one in content["annotations"])
        federated = any("neg_category_ids" in image for image in content["images"])
        missing, not_exhaustive = (
            frozenset((image["id"], category) for image in content["images"] for category in image.get(key) or ())
            for key in ("neg_category_ids", "not_exhaustive_category_ids")
        )
        known_images, known_categories = dict(images), dict(categories)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}; {remedy}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{file}: expected JSON with `images`, `categories` and `annotations` as COCO has them, got "
            f"{_explained(error)}; {json_advice(content) or remedy}"
        ) from error
    problems = Problems()
    _check_ids("image", images, problems)
    _check_ids("category", categories, problems)
    named = present | missing | not_exhaustive
    _check_known("image", {image for image, _ in named}, known_images, problems)
    _check_known("category", {category for _, category in named}, known_categories, problems)
    for image, category in sorted(present & missing, key=str):
        problems.add("present and absent", f"image {image!r}: {category!r} is annotated and in neg_category_ids")
    if problems:
        raise problems.error(file, remedy=remedy)
    used = {category for _, category in named}
    return Instances(
        file=file,
        images=known_images,
        categories=known_categories,
        placeholders=frozenset(one for one, name in categories if one not in used and name in above),
        present=present,
        missing=missing if federated else None,
        not_exhaustive=not_exhaustive,
    )


def file_name_of(image: dict[str, Any]) -> str:
    """The file name of an entry of `images`. LVIS has no names, but addresses that end in a folder and a name."""
    if "file_name" not in image and "coco_url" in image:
        return "/".join(str(image["coco_url"]).split("/")[-2:])
    return str(image["file_name"])


def without_outline(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of a COCO file without the outline of its object, which nothing here needs."""
    entry.pop("segmentation", None)
    return entry


def _category_name(category: dict[str, Any]) -> str:
    name = category["name"]
    if not isinstance(name, str | int) or not str(name).strip():
        raise ValueError(f"a category without a name: {shown(name)}")
    return str(name).strip()


def _check_known(kind: str, used: Collection[Id], known: Mapping[Id, str], problems: Problems) -> None:
    """What annotations name is there."""
    entries = "images" if kind == "image" else "categories"
    texts = {str(one): one for one in known}
    for one in sorted((one for one in used if one not in known), key=str):
        alike = f" (it has {texts[str(one)]!r}: ids are text here and numbers there)" if str(one) in texts else ""
        problems.add(
            f"unknown {entries}",
            f"an annotation of {kind} {one!r}, which `{entries}` lacks{alike}",
            remedy=f"give each {kind} an entry in `{entries}`, or take its annotations out",
        )


def _check_ids(kind: str, entries: Sequence[tuple[Id, str]], problems: Problems) -> None:
    """Ids and names that are there twice, with both places."""
    kinds = {type(one) for one, _ in entries}
    if len(kinds) > 1:
        problems.add("kinds of ids", f"some ids of {kind} entries are text and others are numbers")
    for called, of in (("id", 0), ("name" if kind == "category" else "file_name", 1)):
        places: dict[object, list[int]] = defaultdict(list)
        for place, entry in enumerate(entries):
            places[entry[of]].append(place)
        for value, found in places.items():
            if len(found) > 1:
                those = " and ".join(f"entry {place} ({entries[place][1 - of]!r})" for place in found[:MOST_PLACES])
                problems.add(
                    f"the same {kind} {called}",
                    f"{kind} {called} {value!r} is there {len(found)} times: {those}",
                    remedy=RENUMBER,
                )
    if kind == "category":
        _check_spellings([name for _, name in entries], problems)


def _check_spellings(names: Sequence[str], problems: Problems) -> None:
    for alike in alike_names(names):
        problems.add(
            "spellings",
            f"category names differ in upper and lower case, or in Unicode form, and in nothing else: "
            f"{' and '.join(map(shown, alike))}",
            remedy=RENUMBER,
        )


def _read(year: str, root: Path) -> Dataset:
    train, classes = _read_split(root, "train", year)
    test, test_classes = _read_split(root, "val", year)
    if classes != test_classes:
        raise DataError(
            f"{root / 'annotations'}: the categories of train{year} and val{year} differ; unpack both from {SOURCE}"
        )
    return Dataset(
        name=f"coco{year}",
        classes=classes,
        train=train,
        test=test,
        image_size=448,
        horizontal_flip=True,
        channels=3,
        train_boxes=root / "annotations" / f"instances_train{year}.json",
    )


def _read_split(root: Path, part: str, year: str) -> tuple[Split, tuple[str, ...]]:
    remedy = f"unpack {SOURCE}/annotations/annotations_trainval{year}.zip in {root}"
    file = root / "annotations" / f"instances_{part}{year}.json"
    read = read_instances(file, remedy=remedy)
    images, categories = sorted({image for image, _ in read.present}, key=str), sorted(read.categories)
    names, classes = [read.images[image] for image in images], tuple(read.categories[one] for one in categories)
    folder = root / f"{part}{year}"
    if missing := absent(folder, names):
        raise data_error(
            folder, [f"no image {name}" for name in missing], remedy=f"unpack {SOURCE}/zips/{part}{year}.zip in {root}"
        )
    labels_NC = read.labels(images, categories)
    split = Split(names=tuple(names), labels_NC=labels_NC, images=ImageFiles(folder=folder, names=tuple(names)))
    return split, classes


def _explained(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no key {error}"
    return f"entries of another form ({error})" if isinstance(error, TypeError | AttributeError) else str(error)
