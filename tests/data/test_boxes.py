"""Boxes from XML and COCO files, and on pictures that were turned or scaled since."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from wsml_study.data.boxes import AnnotatedBoxes, distance_to_box, on_upright_image, read_boxes
from wsml_study.data.pixels import open_decoded, upright_size
from wsml_study.errors import DataError

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def write_xml(file: Path, *objects: tuple, size: str = "<size><width>500</width><height>375</height></size>") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"<annotation>{size}{''.join(OBJECT.format(*one) for one in objects)}</annotation>")


def test_voc_counts_pixels_from_1_and_includes_the_last(tmp_path: Path) -> None:
    write_xml(tmp_path / "b" / "1.xml", ("cat", 1, 1, 10, 20), ("cat", 11, 1, 20, 20), ("dog", 5.5, 2, 9, 9))
    write_xml(tmp_path / "2.xml", size="")
    one, none, empty, renamed = read_boxes(tmp_path, ["b/1.jpg", "3.jpg", "2.png", "photos/1.jpg"])
    assert one == AnnotatedBoxes(
        size=(500, 375),
        boxes={"cat": ((0.0, 0.0, 10.0, 20.0), (10.0, 0.0, 20.0, 20.0)), "dog": ((4.5, 1.0, 9.0, 9.0),)},
    )
    assert none is None
    assert empty == AnnotatedBoxes(size=None, boxes={})
    assert renamed == one, "the only annotation of this file name"


def test_a_file_name_of_two_folders_finds_no_annotation_without_its_folder(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_xml(tmp_path / folder / "1.xml", ("cat", 1, 1, 2, 2))
    assert [found is None for found in read_boxes(tmp_path, ["a/1.jpg", "1.jpg"])] == [False, True]


def test_coco_has_a_corner_and_a_size(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 640, "height": 480}, {"id": 8, "file_name": "b.jpg"}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [10, 20.5, 30, 40]},
            {"image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1], "iscrowd": 1},
        ],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    found = read_boxes(tmp_path / "boxes.json", ["train/a.jpg", "b.jpg", "c.jpg"])
    assert found == [
        AnnotatedBoxes(size=(640, 480), boxes={"cat": ((10.0, 20.5, 40.0, 60.5), (0.0, 0.0, 1.0, 1.0))}),
        AnnotatedBoxes(size=None, boxes={}),
        None,
    ]


def test_what_is_malformed_is_named(tmp_path: Path) -> None:
    write_xml(tmp_path / "1.xml", ("cat", 9, 1, 2, 2))
    write_xml(tmp_path / "2.xml", ("cat", "left", 1, 2, 2))
    (tmp_path / "3.xml").write_text("<annotation>")
    with pytest.raises(DataError) as raised:
        read_boxes(tmp_path, ["1.jpg", "2.jpg", "3.jpg"])
    assert "1.xml: expected a box from its left to its right and its top to its bottom, got (8.0, " in str(raised.value)
    assert "2.xml: expected a number as <xmin>, got 'left'" in str(raised.value)
    assert "3 problems" in str(raised.value)
    (tmp_path / "boxes.json").write_text('{"images": [], "categories": [], "annotations": [{"image_id": 1}]}')
    with pytest.raises(DataError, match="`annotations` with a `bbox` each, as COCO has them, got no key 'bbox'"):
        read_boxes(tmp_path / "boxes.json", ["1.jpg"])
    with pytest.raises(DataError, match=r"none: there is no such file or folder; expected boxes in a folder of .xml"):
        read_boxes(tmp_path / "none", ["1.jpg"])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_follows_its_picture_when_that_is_turned(orientation: int, tmp_path: Path) -> None:
    """A picture of 40 x 24 with a white box, annotated lying: its upright pixels say where the box is then."""
    pixels = np.zeros((24, 40), dtype=np.uint8)
    pixels[2:10, 5:30] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    size, turn = upright_size(tmp_path / "a.png")
    upright = np.asarray(open_decoded(tmp_path / "a.png"))
    assert size == upright.shape[::-1]
    fitted = on_upright_image(AnnotatedBoxes(size=(40, 24), boxes={"a": ((5, 2, 30, 10),)}), size, turn)
    assert fitted is not None
    if orientation > 4:  # only a quarter turn shows in the size
        rows, columns = np.nonzero(upright)
        expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert fitted == (AnnotatedBoxes(size=(40, 24), boxes={"a": (expected,)}), (24, 40))
    whole = AnnotatedBoxes(size=size, boxes={"a": ((5, 2, 20, 10),)})
    assert on_upright_image(whole, size, turn) == (whole, size), "annotated upright"


def test_a_picture_may_have_been_scaled_but_not_otherwise_changed() -> None:
    annotated = AnnotatedBoxes(size=(640, 426), boxes={})
    assert on_upright_image(annotated, (256, 170), None) == (annotated, (640, 426))
    assert on_upright_image(annotated, (256, 180), None) is None
    assert on_upright_image(annotated, (170, 256), None) is None
    unknown = AnnotatedBoxes(size=None, boxes={})
    assert on_upright_image(unknown, (170, 256), None) == (unknown, (170, 256))


@pytest.mark.parametrize(
    ("x", "y", "distance"), [(5, 3, 0), (4, 0, 0), (8, 5, 0), (3, 2, 1), (6, 7, 2), (11, 9, 5), (1, -4, 5)]
)
def test_the_distance_to_a_box(x: float, y: float, distance: float) -> None:
    assert distance_to_box(x, y, (4, 0, 8, 5)) == distance
