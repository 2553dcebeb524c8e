"""Average precision per class and its mean over classes (mAP), on complete or partial labels.

AP is the sum over the distinct scores, from the largest down, of precision at that score times the recall gained
there, without interpolation; images of equal score count together. This is scikit-learn's `average_precision_score`.

Shapes: N images, C classes, K of them at once; of a class P positive and M negative images. T trials in
`RankedScores`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.contract import NEGATIVE, POSITIVE

_ENTRIES_AT_ONCE = 2**22
"""Images times classes that are ranked together, at least one class: some 10 bytes each on a CPU, 60 elsewhere."""

_WORTH_THREADS = 2**21
"""Images times classes that two threads rank sooner than one (measured); for fewer they wait for each other."""

_CLASSES_AT_ONCE = 2**16
"""NumPy sorts numbers of 16 bits in linear time."""

_ROWS_AT_ONCE = 256
"""Images whose scores are transposed together."""


def average_precision_C(scores_NC: Tensor, labels_NC: Tensor) -> Tensor:  # noqa: N802 - the suffix is the shape
    """AP of every class over the images annotated for it.

    >>> average_precision_C(torch.tensor([[0.9], [0.8], [0.7]]), torch.tensor([[1], [-1], [1]]))
    tensor([0.8333], dtype=torch.float64)

    Args:
        scores_NC: floating point; the larger, the likelier the class. Logits do as well as probabilities.
        labels_NC: +1 positive, -1 negative; entries of any other state are not annotated and left out.

    Returns:
        float64 (C,) on the device of the scores, fractions in [0, 1]; 0 for a class without positives, NaN for a class
        without any annotation.

    Raises:
        ValueError: the shapes differ or are not (N, C), or a score is NaN.
    """
    if scores_NC.ndim != 2 or scores_NC.shape != labels_NC.shape:
        raise ValueError(
            f"expected scores and labels of one shape (N, C), got {tuple(scores_NC.shape)} and {tuple(labels_NC.shape)}"
        )
    if not scores_NC.sum().isfinite() and scores_NC.isnan().any():  # the sum takes a tenth of the time
        raise ValueError("expected scores that can be ranked, got NaN")
    num_images, num_classes = scores_NC.shape
    on_cpu = scores_NC.device.type == "cpu"
    num_threads = torch.get_num_threads() if on_cpu and scores_NC.numel() >= _WORTH_THREADS else 1
    num_at_once = min(_CLASSES_AT_ONCE, _ENTRIES_AT_ONCE // max(1, num_images), num_classes) // num_threads
    some_classes = [torch.split(entries_NC, max(1, num_at_once), 1) for entries_NC in (scores_NC.detach(), labels_NC)]
    if num_threads == 1:
        return torch.cat([*map(_by_counting if on_cpu else _by_order, *some_classes)])
    with ThreadPoolExecutor(num_threads, thread_name_prefix="rank") as threads:
        return torch.cat([*threads.map(_by_counting, *some_classes)])


def mean_average_precision(ap_C: Tensor) -> float:
    """Mean AP over the classes that have one, as a fraction; NaN if none has.

    Percentages belong to tables and screens: whoever writes those multiplies by 100.
    """
    return float(ap_C.nanmean())


class RankedScores:
    """Scores of T trials on the same images, ranked once for whatever labels they are compared with."""

    def __init__(self, scores_TNC: Tensor) -> None:
        """Rank, where ranking helps: on a CPU.

        Args:
            scores_TNC: finite floats.
        """
        self._scores_TNC = scores_TNC.detach()
        if scores_TNC.device.type == "cpu":
            self._scores_CTN = self._scores_TNC.to(torch.float32).permute(2, 0, 1).contiguous()
            self._ranked_CTN = torch.from_numpy(np.sort(self._scores_CTN.numpy(), axis=2))

    def average_precision_TC(self, labels_NC: Tensor) -> Tensor:  # noqa: N802 - the suffix is the shape
        """AP (T, C) as `average_precision_C` has it, float64, on the device of the scores."""
        if self._scores_TNC.device.type == "cpu":
            return torch.stack([self._of_class(c, labels_NC[:, c]) for c in range(labels_NC.shape[1])], dim=1)
        num_trials, _, num_classes = self._scores_TNC.shape
        columns = self._scores_TNC.transpose(0, 1).flatten(1), labels_NC.repeat(1, num_trials)
        return average_precision_C(*columns).view(num_trials, num_classes)

    def _of_class(self, index: int, labels_N: Tensor) -> Tensor:
        """AP (T,) by counting, as `_by_counting` does, all trials of a class at once: they have the same positives."""
        scores_TN, ranked_TN = self._scores_CTN[index], self._ranked_CTN[index]
        positive_N = labels_N == POSITIVE
        unknown_N = ~positive_N & (labels_N != NEGATIVE)
        positives_TP = scores_TN[:, positive_N].sort(dim=1).values
        if positives_TP.shape[1] == 0:
            value = float("nan") if bool(unknown_N.all()) else 0.0
            return torch.full((len(scores_TN),), value, dtype=torch.float64)
        hits_TP = _reaching(positives_TP, positives_TP)
        seen_TP = _reaching(ranked_TN, positives_TP)
        if bool(unknown_N.any()):
            seen_TP = seen_TP - _reaching(scores_TN[:, unknown_N].sort(dim=1).values, positives_TP)
        return (hits_TP.double() / seen_TP).mean(1)


def _reaching(ranked_TN: Tensor, least_TP: Tensor) -> Tensor:
    """How many of each trial's ascending scores are no less than these."""
    return ranked_TN.shape[1] - torch.searchsorted(ranked_TN, least_TP)


def _by_counting(scores_NK: Tensor, labels_NK: Tensor) -> Tensor:
    """AP (K,) by NumPy, which sorts with vector instructions, many times as fast as torch on a CPU.

    Each positive gains the recall 1 / P at the precision of its score: the positives among all annotated images that
    score no less. It is enough to count these, so the labels need not follow the scores into their order.
    """
    numbers_NK = scores_NK.to(torch.promote_types(scores_NK.dtype, torch.float32)).numpy()
    states_NK = labels_NK.numpy()
    ranked_KN = _transposed(numbers_NK)
    positive_NK = states_NK == POSITIVE
    unknown_NK = ~(positive_NK | (states_NK == NEGATIVE))
    num_annotated_K = np.full(len(ranked_KN), len(states_NK))
    if unknown_NK.any():
        num_annotated_K -= unknown_NK.sum(axis=0)
        ranked_KN[unknown_NK.T] = -np.inf  # counted by no score but this one
    ranked_KN.sort(axis=1)
    rows, columns = np.divmod(np.flatnonzero(positive_NK), len(ranked_KN))  # a fifth of the time of nonzero
    order = np.argsort(columns.astype(np.uint16), kind="stable")
    num_positive_K = np.bincount(columns, minlength=len(ranked_KN))
    by_class = np.split(numbers_NK[rows, columns][order], np.cumsum(num_positive_K)[:-1])
    values = [
        _average_precision(np.sort(positives_P), ranked_N, num_annotated)
        for positives_P, ranked_N, num_annotated in zip(by_class, ranked_KN, num_annotated_K.tolist(), strict=True)
    ]
    return torch.tensor(values, dtype=torch.float64)


def _transposed(numbers_NK: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """A transposed copy, made a few rows at a time: in one go every number is fetched into the cache by itself."""
    transposed_KN = np.empty(numbers_NK.shape[::-1], numbers_NK.dtype)
    for start in range(0, len(numbers_NK), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        transposed_KN[:, rows] = numbers_NK[rows].T
    return transposed_KN


def _average_precision(
    positives_P: npt.NDArray[np.floating], ranked_N: npt.NDArray[np.floating], num_annotated: int
) -> float:
    """AP of a class from the scores of its positives and of all images, both ascending."""
    if len(positives_P) == 0:
        return 0.0 if num_annotated else float("nan")
    hits_P = len(positives_P) - np.searchsorted(positives_P, positives_P)
    seen_P = np.minimum(len(ranked_N) - np.searchsorted(ranked_N, positives_P), num_annotated)
    return float((hits_P / seen_P).mean())


def _by_order(scores_NK: Tensor, labels_NK: Tensor) -> Tensor:
    """AP (K,) by torch, for accelerators; an image that is not annotated has no weight in either count."""
    scores_KN, order_KN = scores_NK.T.contiguous().sort(dim=1, descending=True)
    labels_KN = labels_NK.T.gather(1, order_KN)
    positive_KN = labels_KN == POSITIVE
    hits_KN = positive_KN.cumsum(1, dtype=torch.int32)
    seen_KN = (positive_KN | (labels_KN == NEGATIVE)).cumsum(1, dtype=torch.int32)
    ends_KN = F.pad(scores_KN[:, 1:] != scores_KN[:, :-1], (0, 1), value=True)[:, : scores_KN.shape[1]]
    hits_at_ends_KN = hits_KN.masked_fill(~ends_KN, 0)
    gained_KN = (hits_at_ends_KN - F.pad(hits_at_ends_KN, (1, 0))[:, :-1].cummax(1).values).masked_fill(~ends_KN, 0)
    precision_KN = hits_KN.double() / seen_KN.clamp(min=1)
    num_positive_K = positive_KN.sum(1)
    ap_K = (gained_KN * precision_KN).sum(1) / num_positive_K.clamp(min=1)
    annotated_K = (labels_KN == NEGATIVE).any(1) | (num_positive_K > 0)
    return ap_K.masked_fill(~annotated_K, float("nan"))
