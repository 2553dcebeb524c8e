"""Salient positives: weights of classes by their boxes, and draws in proportion to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.observation import hide_salient, training_labels
from wsml_study.data.salience import LEAST_DISTANCE, salience
from wsml_study.errors import DataError

COUNTS = {"positives": 1, "negatives": 0, "bias": None, "share": None, "share_per_class": None, "semantic": None}
BOXES = [(1, "cat", [0, 0, 20, 20]), (1, "dog", [40, 30, 20, 20]), (1, "dog", [0, 0, 10, 10]), (2, "cat", [0, 0, 1, 1])]
"""Image, class, and left, top, width, height; images are 100 x 80."""


def dataset_in(folder: Path, *, boxes: bool = True) -> Dataset:
    categories = {"cat": 1, "dog": 2, "cow": 3}
    content = {
        "images": [{"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 80} for number in (1, 2)],
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
        "annotations": [
            {"id": place, "image_id": image, "category_id": categories[name], "bbox": box}
            for place, (image, name, box) in enumerate(BOXES)
        ],
    }
    (folder / "boxes.json").write_text(json.dumps(content))
    names, labels_NC = ("1.jpg", "2.jpg"), np.array([[1, 1, -1], [1, 1, -1]], dtype=np.int8)
    split = Split(names=names, labels_NC=labels_NC, images=ImageFiles(folder=folder, names=names))
    return Dataset(
        name="two",
        classes=("cat", "dog", "cow"),
        train=split,
        test=split,
        image_size=32,
        horizontal_flip=False,
        channels=3,
        train_boxes=folder / "boxes.json" if boxes else None,
    )


def test_weights_are_those_of_the_source(tmp_path: Path) -> None:
    """The dog's first box is in the very middle of the image, (50, 40)."""
    dataset = dataset_in(tmp_path)
    np.testing.assert_allclose(salience(dataset, "area"), [[400, 500, 0], [1, 0, 0]])
    cat, far_dog, other_cat = (1 / np.hypot(x - 50, y - 40) for x, y in ((10, 10), (5, 5), (0.5, 0.5)))
    expected = [[cat, 1 / LEAST_DISTANCE + far_dog, 0], [other_cat, 0, 0]]
    np.testing.assert_allclose(salience(dataset, "centre"), expected)


def test_positives_are_drawn_in_proportion_to_their_weight() -> None:
    truth_NC = np.tile(np.array([[1, 1, 1, -1]], dtype=np.int8), (20_000, 1))
    observed_NC = hide_salient(truth_NC, np.tile([[6.0, 3.0, 1.0, 9.0]], (20_000, 1)), positives=1, negatives=1, seed=3)
    assert (observed_NC[:, 3] == -1).all()
    np.testing.assert_allclose((observed_NC[:, :3] == 1).mean(axis=0), [0.6, 0.3, 0.1], atol=0.012)


def test_a_positive_without_a_box_is_drawn_only_where_no_other_is_left(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path)
    for seed in range(20):
        assert training_labels(dataset, **COUNTS, salient="area", seed=seed)[1].tolist() == [1, 0, 0]
    both_NC = training_labels(dataset, **COUNTS | {"positives": 2}, salient="area", seed=1)
    assert both_NC.tolist() == [[1, 1, 0], [1, 1, 0]]
    fair = {
        tuple(hide_salient(np.ones((1, 2), np.int8), np.zeros((1, 2)), positives=1, negatives=0, seed=s)[0])
        for s in range(20)
    }
    assert fair == {(1, 0), (0, 1)}


def test_without_salient_the_draw_is_the_published_one(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path, boxes=False)
    assert (training_labels(dataset, **COUNTS, salient=None, seed=1200) == 1).sum(axis=1).tolist() == [1, 1]
    with pytest.raises(DataError, match="two has no boxes around objects"):
        training_labels(dataset, **COUNTS, salient="area", seed=1200)
