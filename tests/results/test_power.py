"""Power of paired t-tests, against scipy's noncentral t and simulations."""

import numpy as np
import pytest
from scipy import stats

from wsml_study.results.power import power, seeds_to_be_equivalent, seeds_to_find, smallest_difference


@pytest.mark.parametrize(("shift", "count", "level"), [(1.0, 5, 0.05), (1.0, 10, 0.01), (0.5, 30, 0.05)])
def test_power_is_that_of_the_noncentral_t(shift, count, level):
    limit, scaled = stats.t.isf(level / 2, count - 1), shift * count**0.5
    expected = stats.nct.sf(limit, count - 1, scaled) + stats.nct.cdf(-limit, count - 1, scaled)
    assert power(2 * shift, 2.0, count, level) == pytest.approx(expected, abs=1e-4)
    assert power(-2 * shift, 2.0, count, level) == pytest.approx(expected, abs=1e-4)


def test_the_smallest_difference_is_found_in_eight_of_ten():
    least = smallest_difference(0.9, 5, 0.05)
    assert power(least, 0.9, 5, 0.05) == pytest.approx(0.8, abs=1e-3)
    draws = np.random.default_rng(0).normal(least, 0.9, (4000, 5))
    assert (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.02)
    assert smallest_difference(0.0, 5, 0.05) == 0.0
    assert smallest_difference(1.0, 2, 0.05 / 9) > 100, "two seeds find next to nothing"


def test_the_number_of_seeds_is_the_textbooks():
    assert seeds_to_find(0.5, 1.0, 0.05) == 34  # Cohen 1988, paired t-test, d = .5, power .8
    assert seeds_to_find(-0.5, 1.0, 0.05) == 34
    assert seeds_to_find(0.01, 1.0, 0.05) is None
    assert seeds_to_find(0.0, 1.0, 0.05) is None


def test_equivalence_takes_more_seeds_the_closer_the_difference_is_to_the_margin():
    near, far = seeds_to_be_equivalent(0.3, 1.0, 0.05, 0.5), seeds_to_be_equivalent(0.0, 1.0, 0.05, 0.5)
    assert far < near
    assert seeds_to_be_equivalent(0.5, 1.0, 0.05, 0.5) is None
    draws = np.random.default_rng(0).standard_normal((4000, far))
    t = stats.t.isf(0.05, far - 1) * draws.std(axis=1, ddof=1) / far**0.5
    assert (np.abs(draws.mean(axis=1)) + t < 0.5).mean() == pytest.approx(0.8, abs=0.03)
