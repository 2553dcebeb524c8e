"""Means over runs that cross two kinds of repeats: every draw of the hidden labels with every seed of training.

Runs of one draw have its luck in common, and so have runs of one seed: as independent runs they would promise more than
they hold. The variance of their mean is that of a two-way layout without replication with random effects.

Shapes: D draws, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from wsml_study.results.statistics import CONFIDENCE, Estimate, estimate, paired_p_value

Seeds = tuple[int, int]
"""Seed of training, seed of the draw of observed labels."""

DEPENDENT = "runs of one draw, and runs of one seed, are not independent"
"""What intervals and tests of crossed runs take into account, for notes."""

Floats = npt.NDArray[np.floating]


def crossed_estimate(values: Mapping[Seeds, float]) -> Estimate:
    """The mean over runs with its 95 % interval.

    Over every draw with every seed it is the t interval of the two-way layout; over runs that differ in one of the two
    alone, or in both at once, that of `estimate`.

    Args:
        values: by the seeds of a run; one at least.
    """
    values_DS = _crossed(values)
    if values_DS is None:
        return estimate(list(values.values()))
    mean, error, freedom = float(values_DS.mean()), *_standard_error(values_DS)
    half = error * _t_quantile(freedom)
    return Estimate(mean=mean, low=mean - half, high=mean + half, count=values_DS.size)


def crossed_p_value(first: Mapping[Seeds, float], second: Mapping[Seeds, float]) -> float:
    """Two-sided p value of the difference of two configs, run by run, by the t-test that belongs to these runs.

    Args:
        first, second: values by the seeds of a run; two runs in common at least, and all others are left out.
    """
    shared = sorted(first.keys() & second.keys())
    points_DS = _crossed({seeds: first[seeds] - second[seeds] for seeds in shared})
    if points_DS is None:
        return paired_p_value([first[seeds] for seeds in shared], [second[seeds] for seeds in shared])
    from scipy import stats

    error, freedom = _standard_error(points_DS)
    mean = float(points_DS.mean())
    if error == 0:
        return float(mean == 0)
    return float(2 * stats.t.sf(abs(mean) / error, freedom))


def are_crossed(values: Mapping[Seeds, float]) -> bool:
    """Whether there is a run for each of several draws with each of several seeds."""
    return _crossed(values) is not None


def _crossed(values: Mapping[Seeds, float]) -> Floats | None:
    """The values (D, S), if there is one for each of several draws with each of several seeds.

    Draws that lack a seed, since a run has failed, are left out as long as two are whole.
    """
    seeds, draws = sorted({one for one, _ in values}), sorted({one for _, one in values})
    whole = [draw for draw in draws if all((seed, draw) in values for seed in seeds)]
    if len(seeds) < 2 or len(whole) < 2:
        return None
    return np.array([[values[seed, draw] for seed in seeds] for draw in whole])


def _standard_error(values_DS: Floats) -> tuple[float, float]:
    """Of the mean, with its degrees of freedom (Satterthwaite's)."""
    num_draws, num_seeds = values_DS.shape
    by_draw, by_seed = values_DS.mean(axis=1, keepdims=True), values_DS.mean(axis=0, keepdims=True)
    rest_DS = values_DS - by_draw - by_seed + values_DS.mean()
    squares = (
        (num_seeds * float(by_draw.var(ddof=1)), num_draws - 1),
        (num_draws * float(by_seed.var(ddof=1)), num_seeds - 1),
        (float((rest_DS**2).sum()) / ((num_draws - 1) * (num_seeds - 1)), (num_draws - 1) * (num_seeds - 1)),
    )
    draws, seeds, rest = (square for square, _ in squares)
    total = draws + seeds - rest
    largest, freedom = max(squares)
    if total > largest:
        # Both kinds of repeats have an effect of their own.
        by_parts = total**2 / sum(square**2 / freedom for square, freedom in squares)
        largest, freedom = total, max(by_parts, float(min(num_draws, num_seeds) - 1))
    return math.sqrt(largest / values_DS.size), float(freedom)


def _t_quantile(freedom: float) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
