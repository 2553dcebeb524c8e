"""MS COCO 2014 and 2017 from their own layout: `annotations/instances_<part><year>.json` and `<part><year>/`.

Protocol of Cole et al., CVPR 2021: trained on `train`, tested on `val`; a class is present where at least one of its
objects is annotated; images without any annotation are left out; image ids are in the order of their text, so that 10
comes before 9. Shapes: N images, C = 80 classes, in the order of their ids.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.foreign_exports import json_advice
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.data.problem_list import Problems, data_error
from wsml_study.data.text_lines import absent
from wsml_study.errors import DataError

SOURCE = "http://images.cocodataset.org"
MOST_PLACES = 4
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
    """

    file: Path
    images: dict[Id, str]
    categories: dict[Id, str]
    placeholders: frozenset[Id]
    present: frozenset[tuple[Id, Id]]
    missing: frozenset[tuple[Id, Id]] | None

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


def read_instances(file: Path, *, remedy: str) -> Instances:
    """Read a file of annotated objects.

    Args:
        file: JSON with `images` (id, file_name), `categories` (id, name) and `annotations` (image_id, category_id);
            images may list `neg_category_ids`, as in LVIS.
        remedy: where the file comes from, for errors.

    Raises:
        DataError: the file is missing or malformed, an id or name is there twice, or an annotation is of an unknown
            image or category.
    """
    content: Any = None
    try:
        content = json.loads(file.read_bytes())
        images = [(image["id"], file_name_of(image)) for image in content["images"]]
        categories = [(category["id"], str(category["name"]).strip()) for category in content["categories"]]
        above = {str(category.get("supercategory")) for category in content["categories"]}
        present = frozenset((one["image_id"], one["category_id"]) for one in content["annotations"])
        federated = any("neg_category_ids" in image for image in content["images"])
        missing = frozenset(
            (image["id"], category) for image in content["images"] for category in image.get("neg_category_ids") or ()
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
    named = present | missing
    for image in sorted({image for image, _ in named if image not in known_images}, key=str):
        problems.add("unknown images", f"an annotation of image {image!r}, which `images` lacks")
    for category in sorted({category for _, category in named if category not in known_categories}, key=str):
        problems.add("unknown categories", f"an annotation of category {category!r}, which `categories` lacks")
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
    )


def file_name_of(image: dict[str, Any]) -> str:
    """The file name of an entry of `images`. LVIS has no names, but addresses that end in a folder and a name."""
    if "file_name" not in image and "coco_url" in image:
        return "/".join(str(image["coco_url"]).split("/")[-2:])
    return str(image["file_name"])


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
                    remedy="number and name all entries anew, each once; put together, two files need ids of their own",
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
    return f"no key {error}" if isinstance(error, KeyError) else str(error)
