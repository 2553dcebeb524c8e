"""Labels that are probably missing or wrong are found by scores, with probabilities that hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import average_precision_score

from wsml_study.inference.label_audit import audited

N, C = 1500, 6


def drawn(*, positives: float, negatives: float, wrong: float) -> tuple[npt.NDArray[np.float64], ...]:
    """Scores (3, N, C) of three classifiers, true labels and observed ones (N, C)."""
    random = np.random.RandomState(4)
    logits_NC = random.randn(N, C) * 3 - 2.5
    truth_NC = np.where(random.rand(N, C) < 1 / (1 + np.exp(-logits_NC)), 1, -1)
    scores_KNC = logits_NC + random.randn(3, N, C)
    known_NC = random.rand(N, C) < np.where(truth_NC == 1, positives, negatives)
    flipped_NC = random.rand(N, C) < wrong
    return scores_KNC, truth_NC, np.where(known_NC, np.where(flipped_NC, -truth_NC, truth_NC), 0).astype(np.int8)


@pytest.mark.parametrize(("positives", "negatives"), [(0.4, 0.4), (0.6, 0.2)])
def test_errors_are_found_and_their_number_is_right(positives: float, negatives: float) -> None:
    scores_KNC, truth_NC, states_NC = drawn(positives=positives, negatives=negatives, wrong=0.03)
    found = audited(scores_KNC, states_NC)
    error_NC = np.where(states_NC == 0, truth_NC == 1, states_NC != truth_NC)
    unobserved_NC = states_NC == 0
    by_mean_NC = np.where(states_NC == 1, -1, 1) * scores_KNC.mean(axis=0)  # how far scores contradict the labels
    precision = average_precision_score(error_NC.ravel(), found.error_NC.ravel())
    assert precision > average_precision_score(error_NC.ravel(), by_mean_NC.ravel()) + 0.05
    assert found.missing_C.sum() == pytest.approx((unobserved_NC & (truth_NC == 1)).sum(), rel=0.12)
    assert found.error_NC[~unobserved_NC].sum() == pytest.approx(error_NC[~unobserved_NC].sum(), rel=0.35)
    truly_C = (unobserved_NC & (truth_NC == 1)).sum(axis=0)
    assert ((found.low_C <= truly_C) & (truly_C <= found.high_C)).sum() >= C - 1
    assert not found.without_negatives_C.any()


def test_classes_without_negatives_rank_missing_positives_and_state_a_wide_range() -> None:
    scores_KNC, truth_NC, states_NC = drawn(positives=0.5, negatives=0, wrong=0)
    found = audited(scores_KNC, states_NC)
    missing_NC = (states_NC == 0) & (truth_NC == 1)
    assert found.without_negatives_C.all()
    unobserved_NC = states_NC == 0
    chance = missing_NC[unobserved_NC].mean()
    assert average_precision_score(missing_NC[unobserved_NC], found.error_NC[unobserved_NC]) > 3 * chance
    truly_C = missing_NC.sum(axis=0)
    assert (found.low_C <= truly_C).all()
    assert (truly_C <= found.high_C).all()
    assert (found.high_C > 2 * found.low_C).all()


def test_one_class_and_one_classifier_are_enough() -> None:
    scores_KNC, _, states_NC = drawn(positives=0.4, negatives=0.4, wrong=0.03)
    found = audited(scores_KNC[:1, :, :1], states_NC[:, :1])
    assert np.isfinite(found.error_NC).all()
    assert found.low_C <= found.missing_C <= found.high_C


def test_labels_without_any_positive_are_refused() -> None:
    scores_KNC, _, states_NC = drawn(positives=0.4, negatives=0.4, wrong=0)
    with pytest.raises(ValueError, match="known to be positive"):
        audited(scores_KNC, np.minimum(states_NC, 0))


def test_negatives_that_people_were_asked_about_are_no_sample_of_all_negatives() -> None:
    scores_KNC, truth_NC, states_NC = drawn(positives=0.5, negatives=0, wrong=0)
    before = audited(scores_KNC, states_NC)
    for c in range(C):
        doubtful = np.argsort(-before.error_NC[:, c])
        doubtful = doubtful[(states_NC[doubtful, c] == 0) & (truth_NC[doubtful, c] == -1)]
        states_NC[doubtful[: (states_NC[:, c] == 1).sum()], c] = -1
    after = audited(scores_KNC, states_NC)
    assert after.without_negatives_C.all()
    assert after.error_NC[states_NC == 0].max() < 0.5, "of all negatives these would say that what is left is positive"


def test_labels_of_a_class_that_are_distrusted_more_come_earlier_with_the_same_probabilities() -> None:
    scores_KNC, truth_NC, states_NC = drawn(positives=0.4, negatives=0.4, wrong=0.03)
    unobserved_NC = states_NC == 0
    distrusted_NC = unobserved_NC * np.where(truth_NC == 1, 0.6, 0.2)
    found, by_distrust = audited(scores_KNC, states_NC), audited(scores_KNC, states_NC, distrusted_NC)
    for c in range(C):
        assert sorted(by_distrust.error_NC[:, c]) == sorted(found.error_NC[:, c])
    assert (by_distrust.error_NC == found.error_NC)[~unobserved_NC].all()
    assert (by_distrust.missing_C == found.missing_C).all()
    precision, without = (
        average_precision_score(truth_NC[unobserved_NC] == 1, one.error_NC[unobserved_NC])
        for one in (by_distrust, found)
    )
    assert precision > without + 0.05
