"""The share of false negatives, estimated without their truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from wsml_study.data.false_negatives import ObservedCounts, false_negatives
from wsml_study.data.label_states import hide_labels
from wsml_study.data.observation import keep_share
from wsml_study.errors import DataError

NUM_CLASSES = 8
NOTHING = np.zeros((0, NUM_CLASSES), np.int8)


def truth(num_images: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frequency_C = np.linspace(0.05, 0.5, NUM_CLASSES)
    labels = np.where(rng.random((num_images, NUM_CLASSES)) < frequency_C, 1, -1).astype(np.int8)
    labels[labels.max(1) < 0, 0] = 1  # so that each image has a positive to keep
    return labels


def hidden_share(truth_NC: np.ndarray, observed_NC: np.ndarray) -> float:
    return float(((truth_NC == 1) & (observed_NC == 0)).mean())


def test_complete_validation_labels_tell_the_share_within_its_interval() -> None:
    hits = 0
    for seed in range(100):
        truth_NC = truth(600, seed)
        observed_NC = hide_labels(truth_NC, positives=1, negatives=0, seed=seed)
        found = false_negatives(ObservedCounts.of(observed_NC), truth(150, seed + 1000))
        assert found.low < found.share < found.high
        hits += found.low <= hidden_share(truth_NC, observed_NC) <= found.high
    assert hits >= 90


def test_known_labels_of_a_fair_draw_tell_it_too() -> None:
    hits = 0
    for seed in range(100):
        truth_NC = truth(300, seed)
        observed_NC = keep_share(truth_NC, 0.3, per_class=False, seed=seed)
        found = false_negatives(ObservedCounts.of(observed_NC), NOTHING)
        hits += found.low <= hidden_share(truth_NC, observed_NC) <= found.high
    assert hits >= 90


def test_sparse_labels_count_as_dense_ones() -> None:
    observed_NC = keep_share(truth(300, 0), 0.3, per_class=False, seed=0)
    dense, sparse = ObservedCounts.of(observed_NC), ObservedCounts.of(csr_array(observed_NC))
    assert dense.positives_C.tolist() == sparse.positives_C.tolist()
    assert dense.negatives_C.tolist() == sparse.negatives_C.tolist()
    assert dense.unobserved_C.sum() == (observed_NC == 0).sum()


def test_a_class_without_any_known_label_is_taken_for_an_average_one() -> None:
    observed_NC = np.zeros((400, 2), np.int8)
    observed_NC[:100, 0], observed_NC[100:200, 0] = 1, -1
    found = false_negatives(ObservedCounts.of(observed_NC), NOTHING[:, :2])
    assert found.share == pytest.approx((200 * 0.5 + 400 * 0.5) / 800)


def test_where_nothing_tells_it_is_said_so() -> None:
    observed_NC = hide_labels(truth(300, 0), positives=1, negatives=0, seed=0)
    with pytest.raises(DataError, match="300 positives and 0 negatives"):
        false_negatives(ObservedCounts.of(observed_NC), NOTHING)
    with pytest.raises(DataError, match="no training label is unobserved"):
        false_negatives(ObservedCounts.of(truth(300, 0)), truth(100, 1))
