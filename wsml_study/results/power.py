"""Power of paired t-tests: the smallest difference that could be found, and how many seeds a difference would take."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

POWER = 0.8
MOST_SEEDS = 1000
QUANTILES = 64


def power(difference: float, deviation: float, count: int, level: float) -> float:
    """Probability that a two-sided paired t-test finds a difference.

    Args:
        difference: of the means.
        deviation: standard deviation of the paired differences, in the same unit.
        count: number of pairs, two at least.
        level: of the test.
    """
    from scipy.special import ndtr, stdtrit

    # Over the observed deviation, by its quantiles; scipy's noncentral t gives NaN for some small tails.
    observed_Q, weight_Q = _observed_deviation(count - 1)
    limit_Q = -stdtrit(count - 1, level / 2) * observed_Q
    shift = abs(difference) / deviation * count**0.5
    return float(weight_Q @ (ndtr(shift - limit_Q) + ndtr(-shift - limit_Q)) / 2)


@cache
def _observed_deviation(freedom: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Quantiles (Q,) of the observed deviation where the true one is 1, and weights of an integral over them."""
    from scipy.special import gammaincinv

    node_Q, weight_Q = np.polynomial.legendre.leggauss(QUANTILES)
    return np.sqrt(gammaincinv(freedom / 2, (node_Q + 1) / 2) / (freedom / 2)), weight_Q


def smallest_difference(deviation: float, count: int, level: float) -> float:
    """The difference that is found with probability `POWER`; arguments as in `power`."""
    from scipy.optimize import brentq

    if deviation == 0:
        return 0.0
    most = 1.0
    while power(most, 1.0, count, level) < POWER:
        most *= 2
    return deviation * float(brentq(lambda shift: power(shift, 1.0, count, level) - POWER, 0.0, most, xtol=1e-4))


def seeds_to_find(difference: float, deviation: float, level: float) -> int | None:
    """The number of seeds with which a difference is found with probability `POWER`; None if beyond `MOST_SEEDS`."""
    if difference == 0:
        return None
    return _fewest(lambda count: deviation == 0 or power(difference, deviation, count, level) >= POWER)


def seeds_to_be_equivalent(difference: float, deviation: float, level: float, margin: float) -> int | None:
    """The number of seeds that show equivalence with probability `POWER`, or None beyond `MOST_SEEDS`.

    Args:
        difference, deviation, level: as in `power`.
        margin: of equivalence.
    """
    if abs(difference) >= margin:
        return None
    return _fewest(lambda count: deviation == 0 or _power_of_equivalence(difference, deviation, count, level, margin))


def _power_of_equivalence(difference: float, deviation: float, count: int, level: float, margin: float) -> bool:
    from scipy.stats import norm, t

    # The normal approximation of two one-sided tests, with the limit of the t distribution.
    error = deviation / count**0.5
    room = margin - float(t.isf(level, count - 1)) * error
    return room > 0 and float(norm.cdf((room - difference) / error) - norm.cdf((-room - difference) / error)) >= POWER


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """The smallest number of seeds, two at least, that is enough; more are enough as well."""
    if not enough(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
