"""AP in resamples of the test images: as computed on the drawn images themselves."""

import numpy as np
import torch

from wsml_study.training.average_precision import average_precision_C
from wsml_study.training.resampled_precision import SEED, num_resamples, resampled_precision


def test_a_resample_has_the_average_precision_of_the_images_that_it_drew():
    rng = np.random.default_rng(0)
    scores_MC = rng.normal(size=(60, 5)).round(1).astype(np.float32)  # with ties
    labels_MC = rng.choice([-1, 0, 1], size=(60, 5)).astype(np.int8)
    found_RC = resampled_precision(scores_MC, labels_MC, resamples=8)
    draws = np.random.default_rng(SEED)
    for ap_C in found_RC:
        drawn = draws.integers(60, size=60)
        expected_C = 100 * average_precision_C(torch.tensor(scores_MC[drawn]), torch.tensor(labels_MC[drawn]))
        np.testing.assert_allclose(ap_C, expected_C, rtol=1e-5)


def test_classes_and_resamples_without_positives_have_none():
    labels_MC = np.full((20, 3), -1, np.int8)
    labels_MC[0, 1] = 1
    labels_MC[:, 2] = 1
    found_RC = resampled_precision(np.arange(60, dtype=np.float32).reshape(20, 3), labels_MC, resamples=100)
    assert np.isnan(found_RC[:, [0, 2]]).all()
    missing = np.isnan(found_RC[:, 1])
    assert 20 < missing.sum() < 55, "one image of twenty is left out of 36 % of resamples"


def test_large_test_sets_get_fewer_resamples_or_none():
    assert num_resamples(5_000, 80) == 500
    assert num_resamples(125_000, 1_000) == 274
    assert num_resamples(125_000, 5_000) == 0
    assert num_resamples(0, 20) == 0
