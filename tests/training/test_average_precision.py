"""AP and mAP: equal to scikit-learn's, on complete and on partial labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch import Tensor

from wsml_study.training import average_precision
from wsml_study.training.average_precision import average_precision_C, mean_average_precision


def oracle(scores_NC: Tensor, labels_NC: Tensor) -> list[float]:
    """Scikit-learn's AP of each class over its annotated images; 0 without positives, NaN without negatives."""
    values = []
    for scores_N, labels_N in zip(scores_NC.T.double().numpy(), labels_NC.T.numpy(), strict=True):
        annotated_N = np.abs(labels_N) == 1
        positive_N = labels_N[annotated_N] == 1
        if positive_N.all():
            values.append(math.nan)
        elif not positive_N.any():
            values.append(0.0)
        else:
            values.append(float(average_precision_score(positive_N, scores_N[annotated_N])))
    return values


@st.composite
def ranked(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Scores with many ties, infinite ones among them, and labels of any state."""
    num_images, num_classes = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    num_entries = num_images * num_classes
    score = st.sampled_from([-math.inf, -2.0, -0.0, 0.0, 0.5, 1.0, math.inf])
    scores = torch.tensor(draw(st.lists(score, min_size=num_entries, max_size=num_entries)))
    labels = torch.tensor(draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=num_entries, max_size=num_entries)))
    return scores.reshape(num_images, num_classes), labels.reshape(num_images, num_classes).to(torch.int8)


either_way = pytest.mark.parametrize(
    "rank", [average_precision._by_counting, average_precision._by_order], ids=["cpu", "accelerator"]
)


@either_way
@settings(deadline=None)
@given(example=ranked())
def test_equals_scikit_learn_with_ties_and_partial_labels(
    rank: Callable[[Tensor, Tensor], Tensor], example: tuple[Tensor, Tensor]
) -> None:
    scores_NC, labels_NC = example
    finite_NC = scores_NC.clamp(-9, 9)  # the oracle refuses infinite scores; the order is the same
    np.testing.assert_allclose(rank(scores_NC, labels_NC), oracle(finite_NC, labels_NC), atol=1e-9)


@either_way
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("share_annotated", [1.0, 0.3])
def test_equals_scikit_learn_on_many_images(
    dtype: torch.dtype, share_annotated: float, rank: Callable[[Tensor, Tensor], Tensor]
) -> None:
    generator = torch.Generator().manual_seed(0)
    scores_NC = torch.randn(3000, 20, generator=generator).to(dtype)
    labels_NC = torch.where(torch.rand(3000, 20, generator=generator) < 0.03, 1, -1).to(torch.int8)
    labels_NC[torch.rand(3000, 20, generator=generator) > share_annotated] = 0
    np.testing.assert_allclose(rank(scores_NC, labels_NC), oracle(scores_NC, labels_NC), atol=1e-9)


def test_the_classes_are_ranked_in_chunks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    scores_NC = torch.randn(50, 7, generator=torch.Generator().manual_seed(1))
    labels_NC = torch.where(scores_NC > 0.5, 1, -1)[torch.randperm(50, generator=torch.Generator().manual_seed(2))]
    at_once = average_precision_C(scores_NC, labels_NC)
    for entries in (1, 120):
        monkeypatch.setattr(average_precision, "_ENTRIES_AT_ONCE", entries)
        assert torch.equal(average_precision_C(scores_NC, labels_NC), at_once)


def test_three_images_checked_by_hand() -> None:
    """Positives at ranks 1 and 3 of 3: (1/1 + 2/3) / 2."""
    ap_C = average_precision_C(torch.tensor([[3.0], [2.0], [1.0]]), torch.tensor([[1], [-1], [1]]))
    assert ap_C.dtype == torch.float64
    assert ap_C.tolist() == pytest.approx([5 / 6], abs=1e-12)


def test_equal_scores_count_together_whatever_their_order() -> None:
    scores_NC = torch.zeros(4, 2)
    labels_NC = torch.tensor([[1, -1], [-1, -1], [-1, -1], [-1, 1]])
    assert average_precision_C(scores_NC, labels_NC).tolist() == [0.25, 0.25]


def test_a_class_without_positives_has_zero_and_one_without_annotations_has_none() -> None:
    labels_NC = torch.tensor([[1, -1, 0, 9], [-1, 0, 0, 9]])
    ap_C = average_precision_C(torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]), labels_NC)
    assert ap_C[:2].tolist() == [1.0, 0.0]
    assert ap_C[2:].isnan().all()
    assert mean_average_precision(ap_C) == 0.5


def test_without_any_annotation_there_is_no_mean() -> None:
    assert math.isnan(mean_average_precision(average_precision_C(torch.zeros(2, 3), torch.zeros(2, 3))))
    assert math.isnan(mean_average_precision(average_precision_C(torch.zeros(0, 3), torch.zeros(0, 3))))


@either_way
def test_a_class_without_negatives_has_no_ap_whatever_the_scores(rank: Callable[[Tensor, Tensor], Tensor]) -> None:
    labels_NC = torch.tensor([[1, 1], [1, 0], [1, 0]])
    assert rank(torch.randn(3, 2, generator=torch.Generator().manual_seed(0)), labels_NC).isnan().all()


def test_several_trials_ranked_at_once_equal_one_by_one() -> None:
    generator = torch.Generator().manual_seed(4)
    scores_TNC = torch.randn(3, 9, 5, generator=generator)
    labels_NC = torch.randint(-1, 2, (9, 5), generator=generator)
    labels_NC[:, 0], labels_NC[:, 1], labels_NC[:, 2] = 1, -1, 0
    together_TC = average_precision.RankedScores(scores_TNC).average_precision_TC(labels_NC)
    one_by_one_TC = torch.stack([average_precision_C(scores_NC, labels_NC) for scores_NC in scores_TNC])
    assert torch.equal(together_TC.isnan(), one_by_one_TC.isnan())
    assert together_TC.isnan().any(0).tolist()[:3] == [True, False, True]
    assert torch.equal(together_TC.nan_to_num(), one_by_one_TC.nan_to_num())


def test_scores_may_carry_gradients_and_are_left_as_they_were() -> None:
    scores_NC = torch.tensor([[1.0, 2.0], [2.0, 1.0]], requires_grad=True)
    labels_NC = torch.tensor([[1, 1], [-1, -1]])
    assert average_precision_C(scores_NC, labels_NC).tolist() == [0.5, 1.0]
    assert scores_NC.tolist() == [[1.0, 2.0], [2.0, 1.0]]


def test_scores_that_cannot_be_ranked_are_refused() -> None:
    with pytest.raises(ValueError, match="got NaN"):
        average_precision_C(torch.tensor([[math.nan]]), torch.tensor([[1]]))


@pytest.mark.parametrize("shape", [(2, 4), (3,), (2,)])
def test_shapes_that_differ_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"one shape \(N, C\), got \(2, 3\) and"):
        average_precision_C(torch.zeros(2, 3), torch.zeros(shape))
