"""What trials of a study distrusted, on the images that an audit judges."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from wsml_study.inference.study_audit import distrusted_in_trials
from wsml_study.record.label_tables import DISTRUSTED
from wsml_study.training.trial_data import LabelledImages

TRAIN = LabelledImages(
    features_ND=np.zeros((4, 1), dtype=np.float32),
    names_N=("a", "b", "c", "d"),
    rows_M=np.array([3, 1]),
    truth_MC=np.zeros((2, 2), dtype=np.int8),
    observed_MC=np.zeros((2, 2), dtype=np.int8),
)


def table(trial: int, of: int, *rows: tuple[str, str, int]) -> pa.Table:
    images, classes, epochs = zip(*rows, strict=True)
    return pa.table([[trial] * len(rows), images, classes, epochs, [of] * len(rows)], schema=DISTRUSTED.schema)


def test_shares_are_the_mean_over_the_trials_of_the_images_and_classes_at_hand() -> None:
    tables = [
        table(0, 4, ("b", "cat", 1), ("d", "dog", 4), ("a", "dog", 4), ("b", "cow", 4)),
        table(7, 10, ("b", "cat", 5)),
    ]
    share_NC = distrusted_in_trials(tables, TRAIN, ("cat", "dog"))
    assert share_NC == pytest.approx(np.array([[0, 0.5], [(0.25 + 0.5) / 2, 0]]))


def test_without_tables_nothing_is_known() -> None:
    assert distrusted_in_trials((), TRAIN, ("cat", "dog")) is None
