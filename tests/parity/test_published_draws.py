"""Hidden labels and splits are those that the published code draws, bit for bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parity.inputs import wave
from wsml_study.data.label_states import hide_labels, split_validation

PUBLISHED: dict[str, Any] = json.loads((Path(__file__).parent / "published_figures.json").read_text())


def digest(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("case", PUBLISHED["draws"])
def test_observed_labels(case: str) -> None:
    """500 images of 80 classes; positives kept, negatives kept, seed."""
    positives, negatives, seed = map(int, case.split())
    truth_NC = np.where(wave(500, 80, 0.25).numpy() > 0.93, 1, -1).astype(np.int8)
    truth_NC[:, 0] = 1
    observed_NC = hide_labels(truth_NC, positives=positives, negatives=negatives, seed=seed)
    found = [int((observed_NC == 1).sum()), int((observed_NC == -1).sum()), digest(observed_NC.astype(np.int8))]
    assert found == PUBLISHED["draws"][case]


@pytest.mark.parametrize("num_images", [12, 5717, 82081])
def test_splits_of_seed_1200(num_images: int) -> None:
    """A fifth for validation: 12 images, VOC 2012, COCO 2014."""
    train, validation = split_validation(num_images, 0.2, seed=1200)
    found = [len(train), len(validation), int(np.sum(train)), digest(np.asarray(validation).astype(np.int64))]
    assert found == PUBLISHED["splits"][str(num_images)]
