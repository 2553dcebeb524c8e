"""Semantic bias: positives drawn in proportion to weights of their classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from wsml_study.data.class_weights import read_class_weights
from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.observation import training_labels
from wsml_study.errors import DataError
from wsml_study.report.observation_text import observation
from wsml_study.study.data_section import Observe

CLASSES = ("cat", "dog", "cow")
KEYS = {"positives": 1, "negatives": 1, "bias": None, "salient": None, "share": None, "share_per_class": None}


def weights_in(folder: Path, text: str) -> str:
    (folder / "weights.csv").write_text(text)
    return str(folder / "weights.csv")


def test_positives_are_drawn_in_proportion_to_the_weights_of_their_classes(tmp_path: Path) -> None:
    num_images = 20_000
    names = tuple(f"{number}.jpg" for number in range(num_images))
    truth_NC = np.tile(np.array([[1, 1, -1]], dtype=np.int8), (num_images, 1))
    split = Split(names=names, labels_NC=truth_NC, images=ImageFiles(folder=tmp_path, names=names))
    dataset = Dataset(
        name="two", classes=CLASSES, train=split, test=split, image_size=32, horizontal_flip=False, channels=3
    )
    file = weights_in(tmp_path, "class,weight\ncow,5\ncat,0.3\ndog,0.1\n")
    observed_NC = training_labels(dataset, **KEYS, semantic=file, seed=7)
    assert (observed_NC[:, 2] == -1).all()
    np.testing.assert_allclose((observed_NC[:, :2] == 1).mean(axis=0), [0.75, 0.25], atol=0.012)


def test_other_columns_and_the_order_of_rows_do_not_matter(tmp_path: Path) -> None:
    file = weights_in(tmp_path, "weight,clicks,class\n2,9,dog\n0,8,cow\n1,7,cat\n")
    assert read_class_weights(file, CLASSES).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    "others",
    [{"bias": 1.0}, {"salient": "area"}, {"positives": "all"}, {"share": 0.5}],
    ids=lambda keys: next(iter(keys)),
)
def test_weights_go_without_other_ways_to_draw(others: dict[str, Any]) -> None:
    assert observation(Observe(semantic="w.csv")).endswith("positives by the weights of their classes in w.csv")
    with pytest.raises(
        ValidationError, match="says which of the positives are kept, a number of them, and goes without"
    ):
        Observe(semantic="w.csv", **others)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,weight\ncat,1\ndog,2\n", r"data.observe.semantic: .*no weight of 'cow', 1 in all"),
        ("class,weight\ncat,1\ndog,2\ncow,3\nox,1\n", r"weights.csv:5: 'ox' is no class of the dataset"),
        ("class,weight\ncat,1\ndog,-2\ncow,nan\n", r"weights.csv:3: expected a number of at least 0, got '-2'"),
        ("class,weight\ncat,1\ncat,1\ndog,2\ncow,3\n", r"weights.csv:3: 'cat' is listed twice"),
        ("class,weight\ncat,0\ndog,0\ncow,0\n", r"expected weights above 0, got none"),
        ("name,weight\ncat,0\n", r"weights.csv:1: no column class; it has name, weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"(?s){message}"):
        read_class_weights(weights_in(tmp_path, text), CLASSES)
