"""How many training labels are false negatives, estimated from labels that are known, with an interval.

A false negative is an unobserved positive, which methods take as negative. Shapes: N training images, M validation
images, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsml_study.data.judged_labels import LEAST_COMPLETE, LEAST_LABELS
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, AnyLabels, Labels, is_sparse
from wsml_study.errors import DataError

NORMAL_95 = 1.96
"""Standard deviations from the middle to the end of a 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class FalseNegatives:
    """An estimate of the share of false negatives.

    Attributes:
        share: of all training labels, images times classes; a fraction.
        low, high: ends of its 95 % interval.
        basis: the labels that it comes from.
    """

    share: float
    low: float
    high: float
    basis: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ObservedCounts:
    """How often each class is observed among the training images.

    Attributes:
        positives_C, negatives_C: observed labels of a class.
        num_images: N.
    """

    positives_C: npt.NDArray[np.int64]
    negatives_C: npt.NDArray[np.int64]
    num_images: int

    @classmethod
    def of(cls, observed_NC: AnyLabels) -> ObservedCounts:
        """Counts of states, 0 unobserved."""
        num_images, num_classes = observed_NC.shape
        if is_sparse(observed_NC):
            columns, states = observed_NC.indices, observed_NC.data
            counts = (np.bincount(columns[states == one], minlength=num_classes) for one in (POSITIVE, NEGATIVE))
        else:
            counts = ((observed_NC == one).sum(axis=0) for one in (POSITIVE, NEGATIVE))
        positives_C, negatives_C = counts
        return cls(positives_C=positives_C, negatives_C=negatives_C, num_images=num_images)

    @property
    def unobserved_C(self) -> npt.NDArray[np.int64]:  # noqa: N802 - the suffix is the shape
        """Labels of a class that are not observed."""
        return self.num_images - self.positives_C - self.negatives_C

    @property
    def total(self) -> int:
        """Images times classes."""
        return self.num_images * len(self.positives_C)


def false_negatives(observed: ObservedCounts, validation_MC: Labels) -> FalseNegatives:
    """Estimate the false negatives of training labels, without knowing the truth of any unobserved one.

    With complete validation labels: they tell how many positives an image has, and what is not observed of them is
    hidden. Else by class, from the known training labels: the share of positives among them is taken for that of the
    unobserved ones, which is too much where positives are likelier to be known than negatives.

    >>> observed = ObservedCounts.of(np.array([[1, 0, 0, 0]] * 50))
    >>> false_negatives(observed, np.array([[1, 1, -1, -1], [1, -1, -1, -1]] * 50)).share
    0.125

    Args:
        observed: what methods see.
        validation_MC: int8 states that trials are judged by; 0 unknown. M may be 0.

    Raises:
        DataError: no label is unobserved, or neither kind of labels tells.
    """
    if not observed.unobserved_C.any():
        raise DataError("no training label is unobserved, so there is no rejection rate to look for")
    known = validation_MC != UNOBSERVED
    if known.size and known.mean() >= LEAST_COMPLETE:
        return _by_images(observed, validation_MC)
    positives, negatives = int(observed.positives_C.sum()), int(observed.negatives_C.sum())
    if min(positives, negatives) >= LEAST_LABELS:
        return _by_classes(observed)
    raise DataError(
        f"the share of false negatives cannot be estimated: the labels of the validation images are not complete, and "
        f"the known training labels are {positives:,} positives and {negatives:,} negatives (each must be at least "
        f"{LEAST_LABELS})"
    )


def _by_images(observed: ObservedCounts, validation_MC: Labels) -> FalseNegatives:
    """From the positives per validation image; both samples of images vary."""
    known_M = (validation_MC != UNOBSERVED).sum(axis=1)
    share_M = ((validation_MC == POSITIVE).sum(axis=1) / np.maximum(known_M, 1))[known_M > 0]
    share = share_M.mean() - observed.positives_C.sum() / observed.total
    deviation = share_M.std() * np.sqrt(1 / len(share_M) + 1 / observed.num_images)
    return _estimate(share, deviation, f"the positives of {len(share_M):,} completely labelled images")


def _by_classes(observed: ObservedCounts) -> FalseNegatives:
    """From the share of positives among the known labels of each class, drawn to that of all classes by one label."""
    known_C = observed.positives_C + observed.negatives_C
    overall = observed.positives_C.sum() / known_C.sum()
    share_C = (observed.positives_C + overall) / (known_C + 1)
    variance = (observed.unobserved_C**2 * share_C * (1 - share_C) / (known_C + 1)).sum()
    share = (observed.unobserved_C * share_C).sum() / observed.total
    deviation = np.sqrt(variance) / observed.total
    return _estimate(share, deviation, f"the positives among the {int(known_C.sum()):,} known training labels")


def _estimate(share: float, deviation: float, basis: str) -> FalseNegatives:
    low, high = share - NORMAL_95 * deviation, share + NORMAL_95 * deviation
    share, low, high = (float(np.clip(one, 0, 1)) for one in (share, low, high))
    return FalseNegatives(share=share, low=low, high=high, basis=basis)
