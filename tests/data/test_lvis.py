"""LVIS: federated labels in the layout of its release."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.release_trees import lvis
from wsml_study.data.dataset import ImageFiles
from wsml_study.data.lvis import frequency_groups, read_lvis
from wsml_study.data.salience import salience
from wsml_study.errors import DataError


def rewrite(file: Path, place: int, **keys: object) -> None:
    """Change keys of an image's entry."""
    content = json.loads(file.read_text())
    content["images"][place] |= keys
    file.write_text(json.dumps(content))


def test_what_was_not_looked_for_is_unknown(tmp_path: Path) -> None:
    dataset = read_lvis(lvis(tmp_path / "lvis"))
    assert dataset.classes == ("acorn", "bath_mat", "zucchini")
    assert dataset.train.names == tuple(f"train2017/{number:012}.jpg" for number in (4, 25, 30))
    assert dataset.train.labels_NC.tolist() == [[-1, 1, 0], [-1, -1, 0], [1, -1, 1]]
    assert dataset.test.labels_NC.tolist() == [[-1, 0, 1], [1, 0, -1]], "not exhaustive and without an object: unknown"
    assert dataset.notices[0] == (
        "lvis_v1_train.json: an image is known to show 1.0 classes and not to show 1.3 (neg_category_ids); 22.2% of "
        "all labels are unknown"
    )


def test_test_images_are_found_in_both_of_cocos_folders(tmp_path: Path) -> None:
    root = lvis(tmp_path / "lvis")
    assert read_lvis(root).test.names == ("val2017/000000000009.jpg", "train2017/000000000036.jpg")
    (root / "images").mkdir()
    (root / "annotations").mkdir()
    for name in ("train2017", "val2017"):
        (root / name).rename(root / "images" / name)
    for part in ("train", "val"):
        (root / f"lvis_v1_{part}.json").rename(root / "annotations" / f"lvis_v1_{part}.json")
    source = read_lvis(root).test.images
    assert isinstance(source, ImageFiles)
    assert source.folder == root / "images"
    (root / "images/train2017/000000000036.jpg").unlink()
    with pytest.raises(DataError, match=r"(?s)no image train2017/000000000036.jpg.*zips/train2017.zip"):
        read_lvis(root)


def test_groups_are_rare_common_and_frequent() -> None:
    labels_NC = np.zeros((101, 4), dtype=np.int8)
    for column, count in enumerate((10, 11, 100, 101)):
        labels_NC[:count, column] = 1
    assert frequency_groups(labels_NC).tolist() == [1, 2, 2, 3]


def test_boxes_are_those_of_the_same_file(tmp_path: Path) -> None:
    np.testing.assert_allclose(
        salience(read_lvis(lvis(tmp_path / "lvis")), "area"), [[0, 12, 0], [0, 0, 0], [24, 0, 12]]
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"neg_category_ids": [1]}, "image 30: 1 is annotated and in neg_category_ids"),
        ({"not_exhaustive_category_ids": [99]}, "an annotation of category 99, which `categories` lacks"),
        ({"coco_url": None}, "no image None"),
    ],
)
def test_contradictions_name_the_image(tmp_path: Path, keys: dict[str, object], message: str) -> None:
    root = lvis(tmp_path / "lvis")
    rewrite(root / "lvis_v1_train.json", 0, **keys)
    with pytest.raises(DataError, match=message):
        read_lvis(root)


def test_cocos_own_file_is_refused(tmp_path: Path) -> None:
    root = lvis(tmp_path / "lvis")
    content = json.loads((root / "lvis_v1_val.json").read_text())
    for image in content["images"]:
        del image["neg_category_ids"]
    (root / "lvis_v1_val.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"lvis_v1_val.json: expected images with neg_category_ids"):
        read_lvis(root)
