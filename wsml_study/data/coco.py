"""MS COCO 2014 and 2017 from their own layout: `annotations/instances_<part><year>.json` and `<part><year>/`.

Protocol of Cole et al., CVPR 2021: trained on `train`, tested on `val`; a class is present where at least one of its
objects is annotated; images without any annotation are left out; image ids are in the order of their text, so that 10
comes before 9. Shapes: N images, C = 80 classes, in the order of their ids.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.label_states import NEGATIVE, POSITIVE, Labels
from wsml_study.data.problem_list import data_error
from wsml_study.data.text_lines import absent
from wsml_study.errors import DataError

SOURCE = "http://images.cocodataset.org"


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


def read_instances(file: Path, *, only_annotated: bool, remedy: str) -> tuple[list[str], tuple[str, ...], Labels]:
    """Image file names, class names, and labels (N, C) int8 of a file of annotated objects.

    Args:
        file: JSON with `images` (id, file_name), `categories` (id, name) and `annotations` (image_id, category_id).
        only_annotated: leave out images without any annotation, and order the others by the text of their ids.
        remedy: where the file comes from, for errors.

    Raises:
        DataError: the file is missing or malformed, or an annotation is of an unknown image or category.
    """
    try:
        content = json.loads(file.read_bytes())
        name_by_id = {image["id"]: str(image["file_name"]) for image in content["images"]}
        class_by_id = {category["id"]: str(category["name"]) for category in content["categories"]}
        present = {(annotation["image_id"], annotation["category_id"]) for annotation in content["annotations"]}
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}; {remedy}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file}: expected JSON with `images`, `categories` and `annotations` as COCO has them, got "
            f"{_explained(error)}; {remedy}"
        ) from error
    problems = [
        f"an annotation of image {image}, which `images` lacks"
        for image in {image for image, _ in present if image not in name_by_id}
    ]
    problems += [
        f"an annotation of category {category}, which `categories` lacks"
        for category in sorted({category for _, category in present if category not in class_by_id}, key=str)
    ]
    if problems:
        raise data_error(file, sorted(problems), remedy=remedy)

    images = sorted({image for image, _ in present}, key=str) if only_annotated else list(name_by_id)
    row_by_id = {image: row for row, image in enumerate(images)}
    column_by_id = {category: column for column, category in enumerate(sorted(class_by_id))}
    labels_NC = np.full((len(images), len(class_by_id)), NEGATIVE, dtype=np.int8)
    for image, category in present:
        labels_NC[row_by_id[image], column_by_id[category]] = POSITIVE
    return [name_by_id[image] for image in images], tuple(class_by_id[one] for one in sorted(class_by_id)), labels_NC


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
    names, classes, labels_NC = read_instances(file, only_annotated=True, remedy=remedy)
    folder = root / f"{part}{year}"
    if missing := absent(folder, names):
        raise data_error(
            folder, [f"no image {name}" for name in missing], remedy=f"unpack {SOURCE}/zips/{part}{year}.zip in {root}"
        )
    split = Split(names=tuple(names), labels_NC=labels_NC, images=ImageFiles(folder=folder, names=tuple(names)))
    return split, classes


def _explained(error: Exception) -> str:
    return f"no key {error}" if isinstance(error, KeyError) else str(error)
