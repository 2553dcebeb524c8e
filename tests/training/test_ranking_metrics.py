"""Ranking loss, coverage, one-error, precision, recall, F1, group means: as scikit-learn, or what differs by name."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import coverage_error, label_ranking_loss, precision_recall_fscore_support
from torch import Tensor

from wsml_study.training.ranking_metrics import (
    coverage,
    group_means,
    label_choice,
    metrics_beside_map,
    one_error,
    precision_at,
    ranking_loss,
    recall_at,
    top_labels,
)


@st.composite
def ranked(draw: st.DrawFn, states: tuple[int, ...] = (-1, 1)) -> tuple[Tensor, Tensor]:
    """Scores with many ties, and labels."""
    shape = draw(st.integers(1, 8)), draw(st.integers(2, 6))
    num_entries = shape[0] * shape[1]
    scores = draw(st.lists(st.sampled_from([-2.0, -0.0, 0.0, 0.5, 1.0]), min_size=num_entries, max_size=num_entries))
    labels = draw(st.lists(st.sampled_from(states), min_size=num_entries, max_size=num_entries))
    return torch.tensor(scores).reshape(shape), torch.tensor(labels, dtype=torch.int8).reshape(shape)


@settings(deadline=None)
@given(ranked())
def test_ranking_loss_and_coverage_equal_scikit_learns_on_complete_labels(example: tuple[Tensor, Tensor]) -> None:
    scores, labels = example
    truth = (labels > 0).numpy()
    assert ranking_loss(scores, labels) == pytest.approx(label_ranking_loss(truth, scores.numpy()), abs=1e-12)
    assert coverage(scores, labels) == pytest.approx(coverage_error(truth, scores.numpy()), abs=1e-12)


@settings(deadline=None)
@given(ranked(states=(-1, 0, 1, 9)))
def test_entries_that_are_not_annotated_count_nowhere(example: tuple[Tensor, Tensor]) -> None:
    """Image by image, scikit-learn on the annotated labels alone."""
    scores, labels = example
    losses, depths = [], []
    for row, states in zip(scores.numpy(), labels.numpy(), strict=True):
        annotated = np.abs(states) == 1
        truth = (states[annotated] == 1)[None]
        mixed = truth.any() and not truth.all()
        losses.append(label_ranking_loss(truth, row[annotated][None]) if mixed else 0.0)
        depths.append(coverage_error(truth, row[annotated][None]) if mixed else float(truth.sum()))
    assert ranking_loss(scores, labels) == pytest.approx(np.mean(losses), abs=1e-12)
    assert coverage(scores, labels) == pytest.approx(np.mean(depths), abs=1e-12)


@settings(deadline=None)
@given(ranked(states=(-1, 0, 1)))
def test_one_error_is_the_share_of_images_whose_best_label_is_not_surely_positive(
    example: tuple[Tensor, Tensor],
) -> None:
    scores, labels = example
    errors = []
    for row, states in zip(scores.tolist(), labels.tolist(), strict=True):
        annotated = [(score, state) for score, state in zip(row, states, strict=True) if state]
        if any(state == 1 for _, state in annotated):
            top = max(score for score, _ in annotated)
            errors.append(any(state == -1 for score, state in annotated if score == top))
    expected = np.mean(errors) if errors else math.nan
    assert one_error(scores, labels) == pytest.approx(expected, nan_ok=True)


@settings(deadline=None)
@given(ranked(states=(-1, 0, 1, 9)), st.integers(1, 7))
def test_precision_and_recall_at_k_are_those_of_the_sorted_annotated_labels(
    example: tuple[Tensor, Tensor], k: int
) -> None:
    scores, labels = example
    precisions, recalls = [], []
    for row, states in zip(scores.tolist(), labels.tolist(), strict=True):
        annotated = [(-score, state) for score, state in zip(row, states, strict=True) if state in (-1, 1)]
        top = [state for _, state in sorted(annotated)[:k]]
        if annotated:
            precisions.append(top.count(1) / len(top))
        if 1 in states:
            recalls.append(top.count(1) / states.count(1))
    for metric, expected in ((precision_at, precisions), (recall_at, recalls)):
        mean = sum(expected) / len(expected) if expected else math.nan
        assert metric(scores, labels, k) == pytest.approx(mean, nan_ok=True)


@settings(deadline=None)
@given(ranked())
def test_one_error_is_what_precision_at_1_lacks_among_images_with_a_positive(example: tuple[Tensor, Tensor]) -> None:
    scores, labels = example
    some = (labels == 1).any(1)
    if some.any():
        assert precision_at(scores[some], labels[some], 1) == pytest.approx(1 - one_error(scores, labels))


def test_a_rank_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="k of at least 1, got 0"):
        recall_at(torch.zeros(1, 2), torch.ones(1, 2), 0)


def test_an_image_checked_by_hand() -> None:
    """Ranked b d a c, positives d and c: of four pairs b before d, b before c and a before c are wrong."""
    scores, labels = torch.tensor([[0.3, 0.9, 0.1, 0.7]]), torch.tensor([[-1, -1, 1, 1]])
    assert ranking_loss(scores, labels) == 0.75
    assert coverage(scores, labels) == 4.0
    assert one_error(scores, labels) == 1.0
    assert [precision_at(scores, labels, k) for k in (1, 2, 5)] == [0.0, 0.5, 0.5]
    assert [recall_at(scores, labels, k) for k in (1, 2, 5)] == [0.0, 0.5, 1.0]


def test_ties_are_errors() -> None:
    scores, labels = torch.zeros(1, 3), torch.tensor([[1, -1, -1]])
    assert (ranking_loss(scores, labels), coverage(scores, labels), one_error(scores, labels)) == (1.0, 3.0, 1.0)


def test_infinite_scores_are_ranked() -> None:
    scores, labels = torch.tensor([[-math.inf, math.inf, 0.0, -math.inf]]), torch.tensor([[1, -1, -1, 0]])
    assert ranking_loss(scores, labels) == 1.0
    assert coverage(scores, labels) == 3.0


def test_images_without_a_positive_count_zero_in_two_metrics_and_not_at_all_in_the_third() -> None:
    scores, labels = torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([[1, -1], [-1, -1]])
    assert (ranking_loss(scores, labels), coverage(scores, labels), one_error(scores, labels)) == (0.0, 0.5, 0.0)
    assert math.isnan(one_error(scores[1:], labels[1:]))


@pytest.mark.parametrize("metric", [ranking_loss, coverage, one_error])
def test_what_cannot_be_ranked_is_refused(metric: Callable[[Tensor, Tensor], float]) -> None:
    with pytest.raises(ValueError, match="got NaN"):
        metric(torch.tensor([[math.nan]]), torch.tensor([[1]]))
    with pytest.raises(ValueError, match=r"one shape \(N, C\)"):
        metric(torch.zeros(2, 3), torch.zeros(3, 2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("metric", [ranking_loss, coverage, one_error])
def test_any_precision_is_ranked(metric: Callable[[Tensor, Tensor], float], dtype: torch.dtype) -> None:
    scores = torch.tensor([[0.5, 0.25, -1.0]], dtype=dtype, requires_grad=True)
    labels = torch.tensor([[-1, 1, -1]])
    assert metric(scores, labels) == metric(scores.detach().float(), labels)


@settings(deadline=None)
@given(ranked())
def test_precision_recall_and_f1_equal_scikit_learns(example: tuple[Tensor, Tensor]) -> None:
    scores, labels = example
    chosen, truth = scores > 0, (labels > 0).numpy()
    result = label_choice(chosen, labels)
    micro = precision_recall_fscore_support(truth, chosen.numpy(), average="micro", zero_division=0)
    macro = precision_recall_fscore_support(truth, chosen.numpy(), average="macro", zero_division=0)
    assert [result.overall_precision, result.overall_recall, result.overall_f1] == pytest.approx(micro[:3])
    assert [result.class_precision, result.class_recall, result.mean_class_f1] == pytest.approx(macro[:3])


def test_cf1_is_the_harmonic_mean_of_means_and_not_the_mean_of_f1() -> None:
    """Class a: precision 1, recall 1/2, F1 2/3. Class b: precision 1/2, recall 1, F1 2/3. CP = CR = 3/4."""
    chosen = torch.tensor([[True, True], [False, True]])
    result = label_choice(chosen, torch.tensor([[1, 1], [1, -1]]))
    assert (result.class_precision, result.class_recall) == (0.75, 0.75)
    assert result.class_f1 == 0.75
    assert result.mean_class_f1 == pytest.approx(2 / 3)
    assert result.overall_f1 == pytest.approx(2 / 3)


def test_a_class_without_annotations_is_left_out_and_one_without_positives_counts_zero() -> None:
    chosen = torch.tensor([[True, False, True], [False, False, True]])
    result = label_choice(chosen, torch.tensor([[1, -1, 0], [-1, -1, 0]]))
    assert (result.class_precision, result.class_recall) == (0.5, 0.5)
    assert (result.overall_precision, result.overall_recall) == (1.0, 1.0)


def test_nothing_chosen_gives_zeros() -> None:
    result = label_choice(torch.zeros(2, 3, dtype=torch.bool), torch.ones(2, 3))
    assert set(vars(result).values()) == {0.0}


def test_the_top_labels_of_an_image() -> None:
    scores = torch.tensor([[0.1, 0.9, 0.5, 0.7], [4.0, 3.0, 2.0, 1.0]])
    assert top_labels(scores, 3).tolist() == [[False, True, True, True], [True, True, True, False]]
    assert top_labels(scores, 9).all()


def test_all_metrics_of_a_test_by_name() -> None:
    logits, labels = torch.tensor([[2.0, 1.0, -1.0, -2.0]]), torch.tensor([[1, -1, 1, -1]])
    metrics = metrics_beside_map(logits, labels)
    assert (metrics["ranking_loss"], metrics["coverage"], metrics["one_error"]) == (0.25, 3.0, 0.0)
    assert (metrics["overall_precision"], metrics["overall_recall"]) == (0.5, 0.5)
    assert (metrics["overall_precision_top3"], metrics["overall_recall_top3"]) == (pytest.approx(2 / 3), 1.0)
    assert metrics_beside_map(logits, -torch.ones_like(labels))["one_error"] is None


def test_groups_go_from_rarely_to_often_annotated_classes() -> None:
    ap = torch.tensor([0.1, 0.2, 0.3, 0.4, math.nan, 0.6], dtype=torch.float64)
    num_annotations = torch.tensor([60, 50, 40, 30, 20, 10])
    assert group_means(ap, num_annotations, 3) == pytest.approx((0.6, 0.35, 0.15))


def test_five_groups_of_a_thousand_classes() -> None:
    ap = torch.arange(5000) / 5000
    groups = group_means(ap, torch.arange(5000))
    assert groups == pytest.approx([float(ap[1000 * g : 1000 * (g + 1)].mean()) for g in range(5)])


def test_equally_annotated_classes_keep_their_order_and_an_uneven_number_is_cut_as_evenly_as_possible() -> None:
    ap = torch.arange(7.0)
    assert group_means(ap, torch.zeros(7, dtype=torch.int64), 3) == (1.0, 3.5, 5.5)


def test_a_group_without_any_ap_has_no_mean() -> None:
    first, second = group_means(torch.tensor([math.nan, 1.0]), torch.tensor([1, 2]), 2)
    assert math.isnan(first)
    assert second == 1.0


def test_without_a_known_negative_there_is_no_metric() -> None:
    logits, labels = torch.tensor([[2.0, -1.0], [0.5, 3.0]]), torch.tensor([[1, 0], [1, 1]])
    assert set(metrics_beside_map(logits, labels).values()) == {None}
    labels[0, 1] = -1
    assert metrics_beside_map(logits, labels)["overall_precision"] == 1.0
