"""A threshold is what scikit-learn's curve says it is, and its figures hold on images it was not chosen by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binomtest, norm
from sklearn.metrics import f1_score, precision_recall_curve

from wsml_study.inference.threshold_choice import Chosen, best_threshold, choose, clopper_pearson
from wsml_study.record.decision_rules import Target

NINETY, F1 = Target(precision=0.9), Target(best="f1")


def example(seed: int, num_positive: int = 60, num_images: int = 400, shift: float = 2.5) -> tuple:
    """Normal scores, with ties, and their labels, by falling score."""
    random = np.random.RandomState(seed)
    truth = np.arange(num_images) < num_positive
    scores = np.round(random.randn(num_images) + shift * truth, 1)
    order = np.argsort(-scores, kind="stable")
    return scores[order], truth[order]


@pytest.mark.parametrize("seed", range(20))
def test_the_best_f1_is_that_of_scikit_learns_curve(seed: int) -> None:
    scores, truth = example(seed)
    threshold = best_threshold(scores, truth, F1)
    precision, recall, _ = precision_recall_curve(truth, scores)
    best = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
    assert f1_score(truth, scores >= threshold) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_for_a_precision_it_is_the_lowest_point_of_the_curve_that_is_credible(seed: int) -> None:
    scores, truth = example(seed)
    threshold = best_threshold(scores, truth, NINETY)
    credible = []
    for candidate in precision_recall_curve(truth, scores)[2]:
        yes = scores >= candidate
        right, wrong = (truth & yes).sum(), (~truth & yes).sum()
        if right / (right + wrong) >= 0.9 and beta.sf(0.9, right + 0.5, wrong + 0.5) >= 0.7:
            credible.append(candidate)
    if threshold is None:
        assert not credible
    else:
        assert np.array_equal(scores >= threshold, scores >= min(credible))


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=40),
    st.sampled_from([NINETY, F1, Target(precision=0.2)]),
)
def test_images_of_equal_score_are_decided_alike_and_all_with_a_positive_is_found(pairs: list, target: Target) -> None:
    scores, truth = (np.array(column) for column in zip(*sorted(pairs, key=lambda p: -p[0]), strict=True))
    threshold = best_threshold(scores.astype(float), truth, target)
    if threshold is not None:
        assert (scores >= threshold).any()
    if target is F1:
        assert threshold is not None


def test_neighbouring_numbers_are_told_apart() -> None:
    high = np.nextafter(1.0, 2)
    assert best_threshold(np.array([high, 1.0]), np.array([True, False]), F1) == high


def test_clopper_and_pearsons_intervals_are_those_of_scipy() -> None:
    for count, total in ((0, 7), (3, 7), (7, 7), (180, 200)):
        found, expected = clopper_pearson(count, total), binomtest(count, total).proportion_ci(0.95, "exact")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_simulated_classes_have_the_precision_and_intervals_cover_it() -> None:
    """The true precision of a threshold on normal scores is known; the naive choice misses it and states it."""
    true, covered, naive = [], [], []
    for seed in range(60):
        random = np.random.RandomState(seed)
        truth = np.arange(500) < 60
        scores = random.randn(500) + 2.8 * truth
        found = choose(scores, truth, NINETY)
        assert isinstance(found, Chosen)
        assert found.lowest <= found.threshold <= found.highest
        true.append(true_precision(found.threshold))
        covered.append(found.precision.low <= true[-1] <= found.precision.high)
        precision, _, thresholds = precision_recall_curve(truth, scores)
        naive.append(true_precision(thresholds[precision[:-1] >= 0.9].min()))
    assert np.mean(true) > 0.9 > np.mean(naive)
    assert np.mean(covered) >= 0.9


def true_precision(threshold: float) -> float:
    right, wrong = 60 * norm.sf(threshold - 2.8), 440 * norm.sf(threshold)
    return right / (right + wrong)


def test_classes_without_enough_labels_say_so() -> None:
    scores, truth = np.arange(30.0), np.arange(30) >= 21
    assert choose(scores, truth, NINETY) == "9 known positives; 10 are needed"
    assert choose(scores, np.arange(30) == 29, F1) == "1 known positive; 10 are needed"
    assert choose(scores, np.arange(30) >= 5, F1) == "5 known negatives; 10 are needed"
    only = choose(scores, np.ones(30, dtype=bool), NINETY)
    assert only == "no label is known to be negative, so that precision has no value"


def test_scores_that_say_nothing_give_no_threshold() -> None:
    random = np.random.RandomState(0)
    found = choose(random.randn(400), np.arange(400) < 40, NINETY)
    assert isinstance(found, str)
    assert "precision 0.9" in found


def test_a_threshold_that_decides_hardly_any_image_is_none() -> None:
    scores = np.concatenate([np.linspace(9, 8, 7), np.zeros(93), np.zeros(300)])
    truth = np.arange(400) < 100
    found = choose(scores, truth, NINETY)
    assert found == "a threshold for precision 0.9 decides about 6 of 400 images yes, which is too few to judge it"
