"""Metrics beside mAP: ranking loss, coverage, one-error, precision, recall and F1; on complete or partial labels.

Entries that are neither positive nor negative are not annotated and not counted. Where sources define a metric
differently, its docstring says which definition this is.

Shapes: N images, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wsml_study.methods.contract import NEGATIVE, POSITIVE
from wsml_study.training.counted_classes import counted_classes

RANKS = (1, 3, 5)
"""Numbers of top-ranked labels whose precision and recall every test reports."""


def ranking_loss(scores_NC: Tensor, labels_NC: Tensor) -> float:
    """Share of an image's pairs of a positive and a negative label that are in the wrong order, mean over all images.

    As scikit-learn's `label_ranking_loss`: a tie is in the wrong order, and an image without a pair has loss 0.

    >>> ranking_loss(torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([[-1, 1, -1]]))
    0.5

    Args:
        scores_NC: the larger, the likelier the label.
        labels_NC: +1 positive, -1 negative, anything else not annotated.

    Raises:
        ValueError: the shapes differ or are not (N, C), or a score is NaN.
    """
    scores_NC = _comparable(scores_NC, labels_NC)
    positive_NC, negative_NC = labels_NC == POSITIVE, labels_NC == NEGATIVE
    negatives_NC = scores_NC.masked_fill(~negative_NC, -math.inf).sort(dim=1).values
    num_below_NC = torch.searchsorted(negatives_NC, scores_NC)
    num_negative_N = negative_NC.sum(1)
    # A score of -inf would count the -inf that stand for labels other than negatives, too: cap at the negatives.
    wrong_NC = torch.minimum(scores_NC.shape[1] - num_below_NC, num_negative_N[:, None])
    wrong_N = wrong_NC.masked_fill(~positive_NC, 0).sum(1)
    return _mean(wrong_N.double() / (positive_NC.sum(1) * num_negative_N).clamp(min=1))


def coverage(scores_NC: Tensor, labels_NC: Tensor) -> float:
    """How many of an image's labels, from the top of its ranking, hold all its positive ones; mean over all images.

    As scikit-learn's `coverage_error`: tied labels share the last of their ranks, and an image without positives has
    coverage 0. Much of the literature counts ranks from 0, and some divides by C.

    >>> coverage(torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([[-1, 1, -1]]))
    2.0

    Args and errors as ranking_loss.
    """
    scores_NC = _comparable(scores_NC, labels_NC)
    positive_NC = labels_NC == POSITIVE
    annotated_NC = positive_NC | (labels_NC == NEGATIVE)
    least_N1 = scores_NC.masked_fill(~positive_NC, math.inf).amin(1, keepdim=True)
    depth_N = (annotated_NC & (scores_NC >= least_N1)).sum(1)
    return _mean(depth_N.masked_fill(~positive_NC.any(1), 0).double())


def one_error(scores_NC: Tensor, labels_NC: Tensor) -> float:
    """Share of images whose top-ranked label is negative, among the images that have a positive one.

    A tie at the top with a negative label is an error, as ties are in the ranking loss. Images without positives,
    which no ranking could get right, are left out; some sources count them as errors. NaN if no image is left.

    >>> one_error(torch.tensor([[0.9, 0.8, 0.1], [0.2, 0.7, 0.1]]), torch.tensor([[-1, 1, -1], [-1, 1, -1]]))
    0.5

    Args and errors as ranking_loss.
    """
    scores_NC = _comparable(scores_NC, labels_NC)
    positive_NC, negative_NC = labels_NC == POSITIVE, labels_NC == NEGATIVE
    best_positive_N = scores_NC.masked_fill(~positive_NC, -math.inf).amax(1)
    best_negative_N = scores_NC.masked_fill(~negative_NC, -math.inf).amax(1)
    error_N = negative_NC.any(1) & (best_negative_N >= best_positive_N)
    return _mean(error_N[positive_NC.any(1)].double())


def precision_at(scores_NC: Tensor, labels_NC: Tensor, k: int) -> float:
    """Share of positives among an image's k top-ranked labels, mean over the images with an annotated label.

    Only annotated labels are ranked; an image with fewer than k of them has them all on top. A tie of a positive and a
    negative label is in the wrong order, as in the ranking loss. NaN if no image has an annotated label.

    >>> precision_at(torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([[-1, 1, -1]]), 2)
    0.5

    Args and errors as ranking_loss; a ValueError too if k is below 1.
    """
    hits_N, annotated_N, _ = _top_hits(scores_NC, labels_NC, k)
    some_N = annotated_N > 0
    return _mean((hits_N.double() / annotated_N.clamp(min=1, max=k))[some_N])


def recall_at(scores_NC: Tensor, labels_NC: Tensor, k: int) -> float:
    """Share of an image's positive labels among its k top-ranked ones, mean over the images that have a positive one.

    Ranked as by precision_at. An image with more than k positives cannot reach 1; some sources divide by k where
    that is less than their number. NaN if no image has a positive label.

    >>> recall_at(torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([[-1, 1, 1]]), 2)
    0.5

    Args and errors as precision_at.
    """
    hits_N, _, positives_N = _top_hits(scores_NC, labels_NC, k)
    some_N = positives_N > 0
    return _mean((hits_N.double() / positives_N.clamp(min=1))[some_N])


def _top_hits(scores_NC: Tensor, labels_NC: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Positives among each image's k top-ranked annotated labels (N), annotated labels (N), positive ones (N)."""
    if k < 1:
        raise ValueError(f"expected k of at least 1, got {k}")
    scores_NC = _comparable(scores_NC, labels_NC)
    positive_NC, negative_NC = labels_NC == POSITIVE, labels_NC == NEGATIVE
    annotated_NC = positive_NC | negative_NC
    # Sorted twice, stably: first negatives, positives, all others; then by score. So negatives lead among equal scores.
    kind_NC = torch.where(annotated_NC, positive_NC.long(), 2)
    order_NC = kind_NC.argsort(dim=1, stable=True)
    ordered_NC = scores_NC.masked_fill(~annotated_NC, -math.inf).gather(1, order_NC)
    order_NC = order_NC.gather(1, ordered_NC.argsort(dim=1, descending=True, stable=True))
    hits_N = positive_NC.gather(1, order_NC)[:, :k].sum(1)
    return hits_N, annotated_NC.sum(1), positive_NC.sum(1)


@dataclass(frozen=True, kw_only=True)
class LabelChoice:
    """Precision, recall and F1 of chosen labels, fractions; 0 where there is nothing to divide by, as scikit-learn has.

    Attributes:
        overall_precision, overall_recall, overall_f1: OP, OR, OF1, over all annotated entries; scikit-learn's `micro`.
        class_precision, class_recall: CP, CR, means over the classes with an annotation that count; scikit-learn's
            `macro` over these.
        class_f1: CF1 as the multi-label image literature has it, the harmonic mean of CP and CR.
        mean_class_f1: the mean of the classes' own F1; scikit-learn's `macro`, which is another number.
    """

    overall_precision: float
    overall_recall: float
    overall_f1: float
    class_precision: float
    class_recall: float
    class_f1: float
    mean_class_f1: float


def label_choice(chosen_NC: Tensor, labels_NC: Tensor, *, least_positives: int = 0) -> LabelChoice:
    """OF1, CF1 and the precisions and recalls behind them.

    Args:
        chosen_NC: bool, labels that are predicted to be there: logits_NC > 0, or top_labels(scores_NC, 3).
        labels_NC: +1 positive, -1 negative, anything else not annotated.
        least_positives: that a class needs to count in the means over classes.

    Raises:
        ValueError: the shapes differ or are not (N, C).
    """
    _check_shapes(chosen_NC, labels_NC)
    positive_NC = labels_NC == POSITIVE
    annotated_NC = positive_NC | (labels_NC == NEGATIVE)
    hits_C = (chosen_NC & positive_NC).sum(0).double()
    chosen_C = (chosen_NC & annotated_NC).sum(0).double()
    positives_C = positive_NC.sum(0).double()
    known_C = annotated_NC.any(0) & counted_classes(labels_NC, least_positives)
    overall = _ratio(hits_C.sum(), chosen_C.sum()), _ratio(hits_C.sum(), positives_C.sum())
    by_class = _mean(_ratio(hits_C, chosen_C)[known_C]), _mean(_ratio(hits_C, positives_C)[known_C])
    return LabelChoice(
        overall_precision=float(overall[0]),
        overall_recall=float(overall[1]),
        overall_f1=_harmonic(float(overall[0]), float(overall[1])),
        class_precision=by_class[0],
        class_recall=by_class[1],
        class_f1=_harmonic(*by_class),
        mean_class_f1=_mean(_ratio(2 * hits_C, chosen_C + positives_C)[known_C]),
    )


def top_labels(scores_NC: Tensor, k: int) -> Tensor:
    """Mask (N, C) of each image's k labels of largest score, equal ones in any order; the literature reports k = 3."""
    top_Nk = scores_NC.topk(min(k, scores_NC.shape[1]), dim=1).indices
    return torch.zeros_like(scores_NC, dtype=torch.bool).scatter_(1, top_Nk, True)


def metrics_beside_map(logits_NC: Tensor, labels_NC: Tensor, *, least_positives: int = 0) -> dict[str, float | None]:
    """Ranking loss, coverage, one-error, precision and recall at 1, 3 and 5, and OF1 and CF1 with their parts.

    OF1 and CF1 are those of p > 0.5, and of each image's top three labels.

    Args:
        logits_NC: scores before the sigmoid.
        labels_NC: +1 positive, -1 negative, anything else not annotated.
        least_positives: that a class needs to count in the means over classes, CF1 and its parts.

    Returns:
        By name; all but the coverage are fractions. All are None where no label is known to be negative: choosing every
        label would be perfect there.
    """
    metrics = {
        "ranking_loss": ranking_loss(logits_NC, labels_NC),
        "coverage": coverage(logits_NC, labels_NC),
        "one_error": one_error(logits_NC, labels_NC),
        **{f"precision_at_{k}": precision_at(logits_NC, labels_NC, k) for k in RANKS},
        **{f"recall_at_{k}": recall_at(logits_NC, labels_NC, k) for k in RANKS},
    }
    for suffix, chosen_NC in (("", logits_NC > 0), ("_top3", top_labels(logits_NC, 3))):
        found = label_choice(chosen_NC, labels_NC, least_positives=least_positives)
        metrics |= {f"{name}{suffix}": value for name, value in vars(found).items()}
    no_negative = not bool((labels_NC == NEGATIVE).any())
    return {name: None if no_negative or math.isnan(value) else value for name, value in metrics.items()}


def _comparable(scores_NC: Tensor, labels_NC: Tensor) -> Tensor:
    """The scores without their gradients, in float32 at least, since half precision cannot be searched everywhere."""
    _check_shapes(scores_NC, labels_NC)
    if scores_NC.isnan().any():
        raise ValueError("expected scores that can be ranked, got NaN")
    return scores_NC.detach().to(torch.promote_types(scores_NC.dtype, torch.float32))


def _check_shapes(one_NC: Tensor, labels_NC: Tensor) -> None:
    if one_NC.ndim != 2 or one_NC.shape != labels_NC.shape:
        raise ValueError(
            f"expected scores and labels of one shape (N, C), got {tuple(one_NC.shape)} and {tuple(labels_NC.shape)}"
        )


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part / whole.clamp(min=1)


def _harmonic(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0


def _mean(values: Tensor) -> float:
    return float(values.mean())
