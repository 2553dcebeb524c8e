"""How salient each class is in each training image, from the boxes around its objects: `data.observe.salient`.

Shapes: N training images, C classes.

Source: Arroyo, Perona, Cole, "Understanding Label Bias in Single Positive Multi-Label Learning", ICLR 2023 (tiny
papers);
Julio-Arroyo/single-positive-multi-label, which studies COCO.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from wsml_study.data.boxes import AnnotatedBoxes, Box, read_boxes
from wsml_study.data.dataset import Dataset
from wsml_study.errors import DataError

Salient = Literal["area", "centre"]

LEAST_DISTANCE = 0.0005
"""In pixels, of a box in the very middle, as the source has it."""


def salience(dataset: Dataset, kind: Salient) -> npt.NDArray[np.float64]:
    """Weights (N, C) with which a positive of an image is drawn; only their proportions within an image matter.

    `area`: the sum of the areas of the class's boxes; the source sums the areas of outlines, which is COCO's alone.
    `centre`: the sum over its boxes of 1 / (distance in pixels of the middles of box and image). 0 without a box.

    Raises:
        DataError: the dataset has no boxes, or an image has none, or its size is not known.
    """
    if dataset.train_boxes is None:
        raise DataError(
            f"data.observe.salient: {dataset.name} has no boxes around objects; voc2007, voc2012, coco2014, coco2017, "
            "lvis (v1), voc_xml and coco_json have"
        )
    return _weights(dataset.train_boxes, dataset.train.names, dataset.classes, kind)


@lru_cache(maxsize=2)
def _weights(source: Path, names: tuple[str, ...], classes: tuple[str, ...], kind: Salient) -> npt.NDArray[np.float64]:
    try:
        found = read_boxes(source, names)
    except DataError as error:
        raise DataError(f"data.observe.salient: {error}") from error
    if absent := [name for name, boxes in zip(names, found, strict=True) if boxes is None]:
        raise DataError(
            f"data.observe.salient: {source} has no annotation of {len(absent):,} of {len(names):,} training images, "
            f"such as {absent[0]}"
        )
    weights_NC = np.array([[_weight(boxes, name, kind) for name in classes] for boxes in found if boxes is not None])
    weights_NC.flags.writeable = False
    return weights_NC


def _weight(annotated: AnnotatedBoxes, name: str, kind: Salient) -> float:
    boxes = annotated.boxes.get(name, ())
    if kind == "area":
        return sum(max(0.0, right - left) * max(0.0, bottom - top) for left, top, right, bottom in boxes)
    if boxes and annotated.size is None:
        raise DataError("data.observe.salient: an annotation does not say how large its image is, which `centre` needs")
    return sum(1 / _off_centre(box, annotated.size or (0, 0)) for box in boxes)


def _off_centre(box: Box, size: tuple[int, int]) -> float:
    """Distance in pixels of the middles of a box and of its image.

    >>> _off_centre((0, 0, 10, 20), (16, 28))
    5.0
    """
    left, top, right, bottom = box
    distance = math.hypot((left + right - size[0]) / 2, (top + bottom - size[1]) / 2)
    return distance or LEAST_DISTANCE
