"""Intervals and tests: against scipy, on published cases, and on studies in which nothing differs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wsml_study.results.statistics import estimate, holm, paired_p_value

FIRST = [86.1, 86.6, 87.2, 86.4, 86.9]
SECOND = [85.3, 85.1, 86.4, 85.2, 85.0]


def test_the_interval_is_scipys_at_hesterbergs_level():
    level = 1 - 2 * stats.norm.cdf(-np.sqrt(5 / 4) * 2.7764451051977987)  # the quantile of t with 4 degrees
    interval = stats.bootstrap(
        (FIRST,), np.mean, confidence_level=level, n_resamples=9999, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    found = estimate(FIRST)
    assert (found.mean, found.low, found.high) == pytest.approx((86.64, interval.low, interval.high), abs=1e-12)
    assert found.count == 5


def test_a_large_sample_has_the_interval_of_the_textbook():
    values = np.random.default_rng(1).normal(80.0, 2.0, 400).tolist()
    found = estimate(values)
    low, high = stats.t.interval(0.95, 399, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)


def test_intervals_of_five_cover_the_mean_as_often_as_stated():
    draws = np.random.default_rng(2).normal(0.0, 1.0, (300, 5))
    covered = [found.low <= 0 <= found.high for found in map(estimate, draws.tolist())]
    assert 0.88 <= np.mean(covered) <= 0.96


def test_one_value_has_no_interval_and_equal_ones_one_without_width():
    assert (estimate([5.0]).low, estimate([5.0]).high) == (None, None)
    assert (estimate([5.0] * 4).low, estimate([5.0] * 4).high) == (5.0, 5.0)
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=12, unique=True))
def test_p_is_scipys_and_does_not_care_for_order(pairs):
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    if first != second and np.ptp(np.subtract(first, second)) > 1e-6:
        expected = stats.ttest_rel(first, second).pvalue
        assert paired_p_value(first, second) == pytest.approx(expected, abs=1e-9)
        assert paired_p_value(second, first) == pytest.approx(expected, abs=1e-9)


def test_students_sleep_data_gives_the_published_p():
    """Hours of extra sleep with two drugs: Student, "The probable error of a mean", 1908; t = -4.0621, p = 0.00283."""
    one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    other = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    assert paired_p_value(one, other) == pytest.approx(0.002833, abs=1e-6)


def test_pairs_that_are_equal_do_not_differ():
    assert paired_p_value(FIRST, FIRST) == 1.0


def test_what_is_no_pairs_is_refused():
    with pytest.raises(ValueError, match="at least two pairs, got 5 and 4"):
        paired_p_value(FIRST, SECOND[:4])
    with pytest.raises(ValueError, match="at least two pairs"):
        paired_p_value([1.0], [2.0])


def test_five_pairs_are_too_few_for_ranks_and_signs():
    """Why it is the t-test: the clearest five differences that there can be."""
    differences = np.subtract(FIRST, SECOND)
    assert stats.wilcoxon(differences).pvalue == 2 / 32
    assert paired_p_value(FIRST, SECOND) < 0.01


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.04], [0.04]),
        ([], []),
    ],
)
def test_holm_as_published(p_values, corrected):
    """The second case is that of Wright, "Adjusted p-values for simultaneous inference", Biometrics 1992."""
    assert holm(p_values) == pytest.approx(corrected)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_p_value_and_bonferronis(p_values):
    for p, corrected in zip(p_values, holm(p_values), strict=True):
        assert p <= corrected <= min(1.0, p * len(p_values))


def false_claims(num_configs: int, num_seeds: int, num_studies: int) -> float:
    """How many studies of configs that are all the same claim any difference; seeds move all configs alike."""
    draw = np.random.default_rng(3)
    claims = 0
    for _ in range(num_studies):
        values = 86 + draw.normal(0, 1.0, num_seeds) + draw.normal(0, 0.5, (num_configs, num_seeds))
        pairs = [paired_p_value(values[i], values[j]) for i in range(num_configs) for j in range(i)]
        claims += min(holm(pairs)) < 0.05
    return claims / num_studies


def test_one_in_twenty_null_studies_at_most_claims_a_difference():
    assert false_claims(num_configs=4, num_seeds=5, num_studies=400) <= 0.07
