"""Labels that are known because they are positive are found out; those that are known by chance are not suspected."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from wsml_study.inference.observation_odds import observation_odds


def partly_known(of_positives: float, of_negatives: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are sharper than they should be, and labels known with these probabilities."""
    random = np.random.RandomState(seed)
    logits = random.randn(800, 8) * 2 - 2
    truth = random.rand(800, 8) < expit(logits)
    known = random.rand(800, 8) < np.where(truth, of_positives, of_negatives)
    return expit(2 * logits), np.where(known, np.where(truth, 1, -1), 0).astype(np.int8)


@pytest.mark.parametrize(("of_positives", "of_negatives"), [(0.6, 0.1), (0.9, 0.3), (0.2, 0.5)])
def test_the_ratio_is_found_within_its_interval(of_positives: float, of_negatives: float) -> None:
    found = [observation_odds(*partly_known(of_positives, of_negatives, seed)) for seed in range(20)]
    ratio = of_positives / of_negatives
    assert np.mean([one.ratio for one in found]) == pytest.approx(ratio, rel=0.05)
    assert np.mean([one.low <= ratio <= one.high for one in found]) >= 0.8
    assert all(one.is_notable for one in found)


def test_labels_that_are_missing_at_random_are_not_suspected() -> None:
    notable = [observation_odds(*partly_known(0.4, 0.4, seed)).is_notable for seed in range(5)]
    assert notable == [False] * 5


def test_complete_labels_need_no_ratio_and_useless_scores_give_none() -> None:
    assert observation_odds(*partly_known(1.0, 1.0)) is None
    _, labels = partly_known(0.5, 0.5)
    assert observation_odds(np.full(labels.shape, 0.5), labels) is None


def test_precision_on_complete_labels() -> None:
    found = observation_odds(*partly_known(0.6, 0.1))
    # 90 right and 10 wrong of known labels stand for 90 / e+ right and 10 / e- wrong ones.
    assert found.on_complete_labels(0.9) == pytest.approx(90 / (90 + 10 * found.ratio))
