"""Intervals over seeds and test images: how often they cover the truth where both vary."""

import numpy as np
import pytest

from wsml_study.results.resampled_intervals import interval_over_images, intervals_over_images


def study(rng, *, seeds, seed_deviation, image_deviation, resamples=200):
    """Values of a study whose true mean is 0, and their resamples, which vary as the choice of images does."""
    of_seeds = rng.normal(0, seed_deviation, seeds)
    shared = rng.normal(0, image_deviation)  # the test images that this study happens to have
    return of_seeds + shared, of_seeds[:, None] + shared + rng.normal(0, image_deviation, resamples)


@pytest.mark.parametrize(
    ("seed_deviation", "image_deviation"), [(1.0, 0.0), (1.0, 0.5), (0.1, 1.0)], ids=["seeds", "both", "images"]
)
def test_intervals_cover_as_often_as_stated(seed_deviation, image_deviation):
    rng = np.random.default_rng(3)
    studies = (study(rng, seeds=5, seed_deviation=seed_deviation, image_deviation=image_deviation) for _ in range(200))
    found = [interval_over_images(*one) for one in studies]
    assert 0.88 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.985


def test_a_bias_of_resamples_does_not_move_the_interval():
    values_S, resampled_SR = study(np.random.default_rng(4), seeds=5, seed_deviation=1.0, image_deviation=1.0)
    one, raised = interval_over_images(values_S, resampled_SR), interval_over_images(values_S, resampled_SR + 3)
    assert (raised.mean, raised.low, raised.high) == pytest.approx((one.mean, one.low, one.high))


def test_a_class_that_is_missing_from_some_resamples_has_an_interval():
    rng = np.random.default_rng(5)
    resampled_SRC = rng.normal(0, 1, (3, 100, 2))
    resampled_SRC[:, :10, 1] = np.nan
    first, second = intervals_over_images(np.zeros((3, 2)), resampled_SRC)
    assert first.low < 0 < first.high
    assert second.low < 0 < second.high
