"""Boxes around the objects of images: from the XML files of Pascal VOC, or a JSON file as COCO has it.

Coordinates are continuous: pixel 0 reaches from 0 to 1. Pascal VOC counts pixels from 1 and includes the last one, so
that xmin 1 and xmax 10 are the box from 0 to 10.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias
from xml.etree import ElementTree

from PIL import Image

from wsml_study.data.coco import file_name_of, without_outline
from wsml_study.data.problem_list import Problems
from wsml_study.errors import DataError

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""

Size: TypeAlias = tuple[int, int]
"""Width and height, in pixels."""

TURNED: dict[Image.Transpose, Callable[[float, float, Size], tuple[float, float]]] = {
    Image.Transpose.TRANSPOSE: lambda x, y, _: (y, x),
    Image.Transpose.ROTATE_270: lambda x, y, size: (size[1] - y, x),
    Image.Transpose.TRANSVERSE: lambda x, y, size: (size[1] - y, size[0] - x),
    Image.Transpose.ROTATE_90: lambda x, y, size: (y, size[0] - x),
}
"""Quarter turn of a picture -> what it does to a point of a picture of a size."""


@dataclass(frozen=True, kw_only=True)
class AnnotatedBoxes:
    """The boxes of an image.

    Attributes:
        size: of the image that was annotated; None where the annotation does not say.
        boxes: by the name of their class, those marked difficult or crowd included.
    """

    size: Size | None
    boxes: Mapping[str, tuple[Box, ...]]


def read_boxes(source: Path, names: Sequence[str]) -> list[AnnotatedBoxes | None]:
    """The boxes of images, None for those without an annotation.

    An image finds its annotation by its name with its folders, or else by its file name where only one has that.

    Args:
        source: a folder of .xml files in the format of Pascal VOC, called as the images are; or a .json file in COCO's.
        names: image files, relative to the folder of the images.

    Raises:
        DataError: the source does not exist, or an annotation is malformed.
    """
    if source.is_dir():
        files = {file.relative_to(source).with_suffix("").as_posix(): file for file in source.rglob("*.xml")}
        find = _finder(files)
        found = [find(PurePosixPath(name).with_suffix("").as_posix()) for name in names]
        return _read_xml(source, found)
    if source.suffix == ".json":
        find_image = _finder(_read_coco(source))
        return [find_image(name) for name in names]
    raise DataError(
        f"{source}: {'this is something else' if source.exists() else 'there is no such file or folder'}; expected "
        f"boxes in a folder of .xml files as Pascal VOC has them, or in a .json file as COCO has it"
    )


def on_upright_image(
    annotated: AnnotatedBoxes, upright: Size, turn: Image.Transpose | None
) -> tuple[AnnotatedBoxes, Size] | None:
    """Boxes on the upright image at the size that was annotated, and that size; None if the annotation does not fit.

    The image may have been scaled since. Whether it was annotated upright or as its file stores it follows from the
    annotated size: a picture that its EXIF data turn by a quarter was annotated lying if only so the proportions fit.

    Args:
        annotated: of the image.
        upright: size of the image after its EXIF orientation is applied.
        turn: what its EXIF orientation does; None for nothing.
    """
    size = annotated.size or upright
    if _same_proportions(size, upright):
        return annotated, size
    if turn in TURNED and _same_proportions(size, upright[::-1]):
        turned = {name: tuple(_turned_box(box, size, turn) for box in boxes) for name, boxes in annotated.boxes.items()}
        return replace(annotated, boxes=turned), size[::-1]
    return None


def distance_to_box(x: float, y: float, box: Box) -> float:
    """Distance of a point to a box, 0 inside.

    >>> distance_to_box(1, 9, (4, 0, 8, 5))
    5.0
    """
    left, top, right, bottom = box
    return math.hypot(max(left - x, 0.0, x - right), max(top - y, 0.0, y - bottom))


def _same_proportions(size: Size, other: Size) -> bool:
    """Whether a picture of one size can have been scaled to the other, sides rounded up or down to whole pixels."""
    return abs(size[0] * other[1] - size[1] * other[0]) <= max(sum(size), sum(other)) or size == other


def _turned_box(box: Box, size: Size, turn: Image.Transpose) -> Box:
    (x, y), (other_x, other_y) = (TURNED[turn](*corner, size) for corner in (box[:2], box[2:]))
    return min(x, other_x), min(y, other_y), max(x, other_x), max(y, other_y)


def _finder(annotations: Mapping[str, Any]) -> Callable[[str], Any]:
    by_file_name: dict[str, list[str]] = defaultdict(list)
    for name in annotations:
        by_file_name[PurePosixPath(name).name].append(name)

    def find(name: str) -> Any:
        if name in annotations:
            return annotations[name]
        alike = by_file_name.get(PurePosixPath(name).name, [])
        return annotations[alike[0]] if len(alike) == 1 else None

    return find


def _read_xml(folder: Path, files: Sequence[Path | None]) -> list[AnnotatedBoxes | None]:
    problems = Problems()
    found: list[AnnotatedBoxes | None] = []
    for file in files:
        found.append(None)
        if file is None:
            continue
        try:
            found[-1] = _boxes_of_xml(ElementTree.parse(file).getroot())
        except (OSError, ElementTree.ParseError, ValueError) as error:
            problems.add("unreadable", f"{file.relative_to(folder)}: {error}")
    if problems:
        raise problems.error(folder, remedy="mend these files, or take them out")
    return found


def _boxes_of_xml(annotation: ElementTree.Element) -> AnnotatedBoxes:
    boxes: dict[str, list[Box]] = defaultdict(list)
    for thing in annotation.iter("object"):
        name = (thing.findtext("name") or "").strip()
        corners = [_number(thing.findtext(f"bndbox/{key}"), key) for key in ("xmin", "ymin", "xmax", "ymax")]
        boxes[name].append(_box(corners[0] - 1, corners[1] - 1, corners[2], corners[3]))
    sides = [int(_number(annotation.findtext(f"size/{key}") or "0", key)) for key in ("width", "height")]
    return AnnotatedBoxes(
        size=(sides[0], sides[1]) if min(sides) > 0 else None,
        boxes={name: tuple(of_name) for name, of_name in boxes.items()},
    )


def _number(text: str | None, key: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected a number as <{key}>, got {text!r}")
    return number


def _box(left: float, top: float, right: float, bottom: float) -> Box:
    if not (left <= right and top <= bottom):
        raise ValueError(
            f"expected a box from its left to its right and its top to its bottom, got {left, top, right, bottom}"
        )
    return left, top, right, bottom


def _read_coco(file: Path) -> dict[str, AnnotatedBoxes]:
    """By the file names of the images."""
    try:
        content = json.loads(file.read_bytes(), object_hook=without_outline)
        categories = {one["id"]: str(one["name"]).strip() for one in content["categories"]}
        boxes: dict[Any, dict[str, list[Box]]] = defaultdict(lambda: defaultdict(list))
        for one in content["annotations"]:
            left, top, width, height = map(float, one["bbox"])
            boxes[one["image_id"]][categories[one["category_id"]]].append(_box(left, top, left + width, top + height))
        return {
            file_name_of(image): AnnotatedBoxes(
                size=(int(image["width"]), int(image["height"]))
                if image.get("width") and image.get("height")
                else None,
                boxes={name: tuple(of_name) for name, of_name in boxes[image["id"]].items()},
            )
            for image in content["images"]
        }
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        explained = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{file}: expected JSON with `images`, `categories`, and `annotations` with a `bbox` each, as COCO has "
            f"them, got {explained}"
        ) from error
