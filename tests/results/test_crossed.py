"""Means over draws crossed with seeds: intervals and tests that know which runs have their luck in common."""

import numpy as np
import pytest
from scipy import stats

from wsml_study.results.crossed import are_crossed, crossed_estimate, crossed_p_value
from wsml_study.results.statistics import estimate, paired_p_value


def runs(values_DS: np.ndarray) -> dict[tuple[int, int], float]:
    return {(seed, draw): float(value) for (draw, seed), value in np.ndenumerate(values_DS)}


def test_where_only_draws_matter_the_interval_is_that_of_their_means():
    means_D = np.array([50.0, 52.0, 55.0, 51.0])
    found = crossed_estimate(runs(np.tile(means_D[:, None], 5)))
    low, high = stats.t.interval(0.95, 3, means_D.mean(), means_D.std(ddof=1) / 2)
    assert (found.mean, found.count) == (52, 20)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_layout_checked_by_hand():
    values_DS = np.array([[1.0, 3.0], [3.0, 6.0]])
    # Mean squares with a degree of freedom each: the means over seeds are 2 and 4.5, and so are those over draws.
    draws, seeds, rest = 2 * 3.125, 2 * 3.125, 0.25
    freedom = (draws + seeds - rest) ** 2 / (draws**2 + seeds**2 + rest**2)
    half = stats.t.ppf(0.975, freedom) * ((draws + seeds - rest) / 4) ** 0.5
    found = crossed_estimate(runs(values_DS))
    assert (found.low, found.high) == pytest.approx((3.25 - half, 3.25 + half))


def test_runs_that_are_not_crossed_count_as_independent():
    pairs = {(1, 1): 3.0, (2, 2): 5.0, (3, 3): 4.5}
    assert not are_crossed(pairs)
    assert crossed_estimate(pairs) == estimate([3.0, 5.0, 4.5])
    others = {(1, 1): 2.0, (2, 2): 5.5, (3, 3): 1.0}
    assert crossed_p_value(pairs, others) == paired_p_value([3.0, 5.0, 4.5], [2.0, 5.5, 1.0])


def test_a_draw_without_one_of_its_runs_is_left_out():
    values = runs(np.array([[1.0, 2.0], [2.0, 4.0], [9.0, 9.0]]))
    del values[0, 2]
    assert crossed_estimate(values).mean == 2.25


def test_equal_configs_have_p_one_and_a_constant_gain_p_zero():
    values = runs(np.random.default_rng(0).normal(size=(3, 4)).round(3))
    assert crossed_p_value(values, values) == 1
    assert crossed_p_value({seeds: value + 0.5 for seeds, value in values.items()}, values) == pytest.approx(
        0, abs=1e-9
    )


def test_intervals_hold_the_mean_of_a_simulation_where_independent_runs_would_not():
    draw = np.random.default_rng(1)
    crossed, naive = 0, 0
    for _ in range(300):
        values_DS = draw.normal(size=(5, 1)) + 0.3 * draw.normal(size=(1, 5)) + 0.3 * draw.normal(size=(5, 5))
        found = crossed_estimate(runs(values_DS))
        crossed += found.low <= 0 <= found.high
        low, high = stats.t.interval(0.95, 24, values_DS.mean(), values_DS.std(ddof=1) / 5)
        naive += low <= 0 <= high
    assert 0.92 <= crossed / 300 <= 0.98
    assert naive / 300 < 0.75
