"""Hierarchical bootstrap: intervals of mean test mAP over seeds, draws of the hidden labels and test images at once.

All configs of a confirmation have the same seeds and the same test images, so seeds and images are crossed: a resample
draws seeds (each with its draw of the hidden labels) and, independently of them, images, and takes the mean over both.
Differences of two configs are taken seed by seed and on the same images.

Shapes: S seeds, R resamples of the images, C classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsml_study.results.statistics import CONFIDENCE, RESAMPLING_SEED, Estimate

SEEDS_PER_IMAGES = 20
"""Resamples of the seeds that are combined with each resample of the images."""

Floats = npt.NDArray[np.floating]


def interval_over_images(values_S: Floats, resampled_SR: Floats) -> Estimate:
    """The mean over seeds with a 95 % interval over seeds and images.

    Args:
        values_S: of each seed, on the test images as they are; two seeds at least.
        resampled_SR: the same in resamples of the images.
    """
    low_C, high_C = _ends(values_S[:, None], resampled_SR[..., None])
    return Estimate(mean=float(values_S.mean()), low=float(low_C[0]), high=float(high_C[0]), count=len(values_S))


def intervals_over_images(values_SC: Floats, resampled_SRC: Floats) -> list[Estimate]:
    """As `interval_over_images`, of each class."""
    low_C, high_C = _ends(values_SC, resampled_SRC)
    return [
        Estimate(mean=float(mean), low=float(low), high=float(high), count=len(values_SC))
        for mean, low, high in zip(values_SC.mean(axis=0), low_C, high_C, strict=True)
    ]


def _ends(values_SC: Floats, resampled_SRC: Floats) -> tuple[Floats, Floats]:
    from scipy import stats

    num_seeds, num_resamples, _ = resampled_SRC.shape
    rng = np.random.default_rng(RESAMPLING_SEED)
    mean_RC = resampled_SRC.mean(axis=0)
    # Resampled seeds spread too little twice, as `statistics.estimate` explains: by n for n - 1, and by normal for t.
    tail = (1 - CONFIDENCE) / 2
    stretch = stats.t.ppf(tail, num_seeds - 1) / stats.norm.ppf(tail) * np.sqrt(num_seeds / (num_seeds - 1))
    rows = np.arange(num_resamples)[:, None]
    drawn = []
    for _ in range(SEEDS_PER_IMAGES):
        seeds_RS = rng.integers(num_seeds, size=(num_resamples, num_seeds))
        drawn.append(mean_RC + stretch * (resampled_SRC[seeds_RS, rows].mean(axis=1) - mean_RC))
    # An image that is drawn twice ranks beside itself, which raises AP a little: resamples only give the spread.
    shift_C = values_SC.mean(axis=0) - np.nanmean(mean_RC, axis=0)
    low_C, high_C = np.nanquantile(np.concatenate(drawn), [tail, 1 - tail], axis=0)
    return low_C + shift_C, high_C + shift_C
