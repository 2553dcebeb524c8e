"""Average precision per class and its mean over classes (mAP), on complete or partial labels.

AP is the sum over the distinct scores, from the largest down, of precision at that score times the recall gained
there, without interpolation; images of equal score count together. This is scikit-learn's `average_precision_score`.

On a CPU AP is computed without ordering the labels by score: the precision at a positive is the number of positives
that score no less, over the number of annotated images that score no less (`score_counts.py`).

Shapes: N images, C classes, K of them at once, P positive images of a class. T trials in `RankedScores`.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.contract import NEGATIVE, POSITIVE
from wsml_study.training.score_counts import num_reaching

Entry = TypeVar("Entry", bound=np.generic)

_ENTRIES_AT_ONCE = 2**22
"""Images times classes ranked together, at least one class: bounds memory, some 5 bytes each on a CPU, 60 on a GPU."""

_ROWS_AT_ONCE = 1024
"""Images whose scores are transposed together: few enough to stay in the CPU's cache."""


def average_precision_C(scores_NC: Tensor, labels_NC: Tensor) -> Tensor:  # noqa: N802 - the suffix is the shape
    """AP of every class over the images annotated for it.

    >>> average_precision_C(torch.tensor([[0.9], [0.8], [0.7]]), torch.tensor([[1], [-1], [1]]))
    tensor([0.8333], dtype=torch.float64)

    Args:
        scores_NC: floating point; the larger, the likelier the class. Logits do as well as probabilities.
        labels_NC: +1 positive, -1 negative; entries of any other state are not annotated and left out.

    Returns:
        float64 (C,) on the device of the scores, fractions in [0, 1]; 0 for a class without positives. NaN for a class
        without negatives, whose AP would be 1 whatever the scores, and so for one without any annotation.

    Raises:
        ValueError: the shapes differ or are not (N, C), or a score is NaN.
    """
    if scores_NC.ndim != 2 or scores_NC.shape != labels_NC.shape:
        raise ValueError(
            f"expected scores and labels of one shape (N, C), got {tuple(scores_NC.shape)} and {tuple(labels_NC.shape)}"
        )
    # A NaN makes the sum NaN, and the sum takes a tenth of the time of the search for one.
    if not scores_NC.sum().isfinite() and scores_NC.isnan().any():
        raise ValueError("expected scores that can be ranked, got NaN")
    num_images = len(scores_NC)
    num_at_once = max(1, _ENTRIES_AT_ONCE // max(1, num_images))
    some_classes = [torch.split(entries_NC, num_at_once, 1) for entries_NC in (scores_NC.detach(), labels_NC)]
    return torch.cat([*map(_by_counting if scores_NC.device.type == "cpu" else _by_order, *some_classes)])


def mean_average_precision(ap_C: Tensor) -> float:
    """Mean AP over the classes that have one, as a fraction; NaN if none has.

    Results and tables hold percentages: multiply by 100 there.
    """
    return float(ap_C.nanmean())


class RankedScores:
    """Scores of T trials on the same images, sorted once and then compared with several sets of labels."""

    def __init__(self, scores_TNC: Tensor) -> None:
        """Sort the scores on a CPU; elsewhere `average_precision_C` sorts them together with the labels.

        Args:
            scores_TNC: finite floats.
        """
        self._scores_TNC = scores_TNC.detach()
        if scores_TNC.device.type == "cpu":
            # Class first, so that the T x N scores of one class are one contiguous block for the sorts below.
            self._scores_CTN = self._scores_TNC.to(torch.float32).permute(2, 0, 1).contiguous()
            self._ranked_CTN = torch.from_numpy(np.sort(self._scores_CTN.numpy(), axis=2))

    def average_precision_TC(self, labels_NC: Tensor) -> Tensor:  # noqa: N802 - the suffix is the shape
        """AP (T, C) as `average_precision_C` has it, float64, on the device of the scores."""
        if self._scores_TNC.device.type == "cpu":
            return torch.stack([self._of_class(c, labels_NC[:, c]) for c in range(labels_NC.shape[1])], dim=1)
        # T trials of C classes are T * C classes with the labels repeated.
        num_trials, _, num_classes = self._scores_TNC.shape
        columns = self._scores_TNC.transpose(0, 1).flatten(1), labels_NC.repeat(1, num_trials)
        return average_precision_C(*columns).view(num_trials, num_classes)

    def _of_class(self, index: int, labels_N: Tensor) -> Tensor:
        """AP (T,) by counting, as `_by_counting` does, of all trials at once: they have the same positives."""
        scores_TN, ranked_TN = self._scores_CTN[index], self._ranked_CTN[index]
        positive_N, negative_N = labels_N == POSITIVE, labels_N == NEGATIVE
        unknown_N = ~positive_N & ~negative_N
        positives_TP = scores_TN[:, positive_N].sort(dim=1).values
        if not bool(negative_N.any()):
            return torch.full((len(scores_TN),), float("nan"), dtype=torch.float64)
        if positives_TP.shape[1] == 0:
            return torch.zeros(len(scores_TN), dtype=torch.float64)
        hits_TP = _reaching(positives_TP, positives_TP)
        seen_TP = _reaching(ranked_TN, positives_TP)
        if bool(unknown_N.any()):  # not annotated: take those that score no less out of the count
            seen_TP = seen_TP - _reaching(scores_TN[:, unknown_N].sort(dim=1).values, positives_TP)
        return (hits_TP.double() / seen_TP).mean(1)


def _reaching(ranked_TN: Tensor, least_TP: Tensor) -> Tensor:
    """How many of each trial's ascending scores are at least as large as these."""
    return ranked_TN.shape[1] - torch.searchsorted(ranked_TN, least_TP)


def _by_counting(scores_NK: Tensor, labels_NK: Tensor) -> Tensor:
    """AP (K,) by NumPy on a CPU.

    Each positive gains the recall 1 / P at the precision of its score: positives over annotated images among all that
    score no less. Counting these suffices, so the labels need not be put into the order of the scores.
    """
    numbers_NK = scores_NK.to(torch.promote_types(scores_NK.dtype, torch.float32)).numpy()
    classes = zip(_transposed(numbers_NK), _transposed(labels_NK.numpy()), strict=True)
    return torch.tensor([_average_precision(*of_class) for of_class in classes], dtype=torch.float64)


def _transposed(entries_NK: npt.NDArray[Entry]) -> npt.NDArray[Entry]:
    """A transposed copy, made a few rows at a time.

    In one go each number of a column would fetch a cache line of which nothing else is used before it is evicted.
    """
    transposed_KN = np.empty(entries_NK.shape[::-1], entries_NK.dtype)
    for start in range(0, len(entries_NK), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        transposed_KN[:, rows] = entries_NK[rows].T
    return transposed_KN


def _average_precision(scores_N: npt.NDArray[np.floating], labels_N: npt.NDArray[np.integer]) -> float:
    """AP of a class; the scores of images that are not annotated are overwritten."""
    positive_P = np.flatnonzero(labels_N == POSITIVE)
    num_positives = len(positive_P)
    num_annotated = num_positives + np.count_nonzero(labels_N == NEGATIVE)
    if num_positives == num_annotated:  # no negative: every ranking would have AP 1
        return float("nan")
    if num_positives == 0:
        return 0.0
    if num_annotated < len(labels_N):
        scores_N[(labels_N != POSITIVE) & (labels_N != NEGATIVE)] = -np.inf  # below every score that counts
    positives_P = np.sort(scores_N.take(positive_P))
    hits_P = num_positives - np.searchsorted(positives_P, positives_P)
    # The minimum: a positive that scores -inf itself must not count the unannotated images, which stand at -inf.
    seen_P = np.minimum(num_reaching(scores_N, positives_P), num_annotated)
    return float((hits_P / seen_P).mean())


def _by_order(scores_NK: Tensor, labels_NK: Tensor) -> Tensor:
    """AP (K,) by torch, for accelerators; an image that is not annotated counts neither as hit nor as seen.

    Sorted once by descending score, running sums give hits and seen images at every rank without a loop over classes.
    """
    scores_KN, order_KN = scores_NK.T.contiguous().sort(dim=1, descending=True)
    labels_KN = labels_NK.T.gather(1, order_KN)
    positive_KN = labels_KN == POSITIVE
    hits_KN = positive_KN.cumsum(1, dtype=torch.int32)
    seen_KN = (positive_KN | (labels_KN == NEGATIVE)).cumsum(1, dtype=torch.int32)
    # Images of equal score count together: only the last of each run of equal scores is a threshold.
    ends_KN = F.pad(scores_KN[:, 1:] != scores_KN[:, :-1], (0, 1), value=True)[:, : scores_KN.shape[1]]
    # Positives gained at a threshold: its hits minus those at the threshold before, which is the running maximum.
    hits_at_ends_KN = hits_KN.masked_fill(~ends_KN, 0)
    gained_KN = (hits_at_ends_KN - F.pad(hits_at_ends_KN, (1, 0))[:, :-1].cummax(1).values).masked_fill(~ends_KN, 0)
    precision_KN = hits_KN.double() / seen_KN.clamp(min=1)
    num_positive_K = positive_KN.sum(1)
    ap_K = (gained_KN * precision_KN).sum(1) / num_positive_K.clamp(min=1)
    return ap_K.masked_fill(~(labels_KN == NEGATIVE).any(1), float("nan"))
