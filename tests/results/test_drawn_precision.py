"""AP by draws of the labels, and what a label moves it by."""

import numpy as np
import pytest

from wsml_study.results.drawn_precision import drawn_ap, label_effects, ranks_by_score


def test_ap_of_draws_by_hand():
    ranks_KM = np.array([[1, 2, 3, 4], [4, 3, 2, 1]], np.int32)
    positive_SM = np.array([[True, False, True, False], [False] * 4, [False, False, False, True]])
    assert drawn_ap(ranks_KM, positive_SM) == pytest.approx(
        np.array([[(1 + 2 / 3) / 2, (1 / 2 + 2 / 4) / 2], [0, 0], [1 / 4, 1]])
    )


def test_positives_of_equal_score_count_together():
    ranks_KM = ranks_by_score(np.array([[0.9, 0.5, 0.5, 0.5, 0.1]]))
    assert ranks_KM.tolist() == [[1, 4, 4, 4, 5]]
    assert drawn_ap(ranks_KM, np.array([[False, True, True, False, True]])) == pytest.approx(
        (2 / 4 + 2 / 4 + 3 / 5) / 3
    )


def test_effect_of_a_label_by_hand():
    # One known positive, ranked second of three; the third's probability is .2.
    likely_M = np.array([0.0, 1.0, 0.2])
    effects_KM = label_effects(np.array([[1, 2, 3]], np.int32), likely_M)
    n, ap = 1.2, (1 / 2 + 0.2 * 2 / 3) / 1.2
    assert effects_KM == pytest.approx(
        np.array([[(1 + 1 / 2 + 0.2 / 3 - ap) / n, (1 / 2 + 0.2 / 3 - ap) / n, (2 / 3 - ap) / n]])
    )


def test_effects_are_derivatives_of_ap_on_probabilities():
    rng = np.random.default_rng(0)
    likely_M = rng.random(12)
    ranks_KM = rng.permuted(np.tile(np.arange(1, 13, dtype=np.int32), (3, 1)), axis=1)

    def ap_K(p_M):  # noqa: N802 - the suffix is the shape
        p_KM = np.take_along_axis(np.tile(p_M, (3, 1)), np.argsort(ranks_KM, 1), 1)
        return (p_KM * (1 + np.cumsum(p_KM, 1) - p_KM) / np.arange(1, 13)).sum(1) / p_M.sum()

    step = 1e-6
    for image, effect_K in enumerate(label_effects(ranks_KM, likely_M).T):
        moved_M = likely_M + step * (np.arange(12) == image)
        assert (ap_K(moved_M) - ap_K(likely_M)) / step == pytest.approx(effect_K, abs=1e-5)
