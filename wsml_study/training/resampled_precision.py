"""Average precision in bootstrap resamples of the test images, for intervals that cover the choice of these images.

An image that is drawn several times counts several times, so scores are sorted once per class, and a resample is a
vector of multiplicities. The draws depend on the number of images alone, so that trials are compared on the same ones.

Shapes: M images, C classes, R resamples, P positives of a class.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsml_study.methods.contract import NEGATIVE, POSITIVE

RESAMPLES, FEWEST_RESAMPLES = 500, 100

MOST_WORK = 2**35
"""Images times classes times resamples that are counted, in a minute or two; OpenImages has too many for any."""

SEED = 20_240
"""Of the draws, in all trials and studies."""


def num_resamples(num_images: int, num_classes: int) -> int:
    """How many resamples a test set of this size gets; 0 if it is too large, or empty."""
    affordable = MOST_WORK // max(1, num_images * num_classes)
    return 0 if affordable < FEWEST_RESAMPLES or num_images == 0 else min(RESAMPLES, affordable)


def resampled_precision(
    scores_MC: npt.NDArray[np.float32], labels_MC: npt.NDArray[np.int8], *, resamples: int
) -> npt.NDArray[np.float32]:
    """AP (R, C) of every class in each resample, in percent, as `average_precision_C` has it on the drawn images.

    Args:
        scores_MC: finite scores.
        labels_MC: +1 positive, -1 negative, anything else not annotated.
        resamples: R, their number.

    Returns:
        NaN where a resample has no positive of a class, or the class has no negative.
    """
    num_images, num_classes = scores_MC.shape
    rng = np.random.default_rng(SEED)
    times_MR = np.empty((num_images, resamples), np.int32)
    for resample in range(resamples):
        times_MR[:, resample] = np.bincount(rng.integers(num_images, size=num_images), minlength=num_images)
    ap_RC = np.full((resamples, num_classes), np.nan, np.float32)
    for c in range(num_classes):
        positive_M = labels_MC[:, c] == POSITIVE
        annotated = np.flatnonzero(positive_M | (labels_MC[:, c] == NEGATIVE))
        if 0 < positive_M.sum() < len(annotated):
            order = annotated[np.argsort(-scores_MC[annotated, c], kind="stable")]
            ap_RC[:, c] = 100 * _of_class(scores_MC[order, c], positive_M[order], times_MR[order])
    return ap_RC


def _of_class(
    scores_M: npt.NDArray[np.float32], positive_M: npt.NDArray[np.bool_], times_MR: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """AP (R,) as a fraction; images in descending order of their scores."""
    # Images of equal score count together, so a positive counts all images up to the last of its score.
    ends_P = np.searchsorted(-scores_M, -scores_M[positive_M], side="right")
    ends, end_of_P = np.unique(ends_P, return_inverse=True)
    starts = np.concatenate([[0], ends[:-1]])
    # Sums between two thresholds, then running sums over these: few numbers where positives are rare.
    seen_ER = np.add.reduceat(times_MR[: ends[-1]], starts, axis=0).cumsum(axis=0)
    times_PR = times_MR[positive_M]
    first_of_end = np.concatenate([[0], np.flatnonzero(np.diff(end_of_P)) + 1])
    hits_ER = np.add.reduceat(times_PR, first_of_end, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision_ER = hits_ER.cumsum(axis=0) / seen_ER
        total_R = hits_ER.sum(axis=0)
        ap_R: npt.NDArray[np.float64] = np.where(hits_ER > 0, hits_ER * precision_ER, 0).sum(axis=0) / total_R
        return ap_R
