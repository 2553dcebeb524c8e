"""Group-sequential tests of paired differences: seeds are added in rounds, and the error rate holds over all rounds.

After each round the paired t-test is taken, and its p value is compared with a level that grows with the number of
seeds: the n-th of N seeds has the share n / N of a common level. The common level is such that, where nothing differs,
a difference is claimed in at most alpha of all confirmations. Under normal differences of any variance the sequence
of t statistics has one distribution, so this level is found by simulation, without large-sample approximations.

Source: the boundaries are those of Wang and Tsiatis, "Approximately Optimal One-Parameter Boundaries for Group
Sequential Trials", Biometrics, 1987, in the scale of p values (Jennison and Turnbull, "Group Sequential Methods", 2000,
chapter 11, on unknown variances). That Holm's method may be applied to them is by Maurer and Bretz, "Multiple Testing
in Group Sequential Trials Using Graphical Approaches", 2013.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

FIRST_ROUND = 5
"""Seeds of the first round, and of the others where there are few: rounds have a multiple of it."""

MOST_ROUNDS = 11

NULL_STUDIES = 200_000
"""Simulated sequences of differences behind each p value; the smallest p value is its inverse."""

FORECASTS = 1_000
SEED = 0
"""Fixed, so that equal results always give the same p values and the same rounds."""

Floats = npt.NDArray[np.float64]


def rounds_up_to(at_most: int) -> tuple[int, ...]:
    """Numbers of seeds after which a confirmation is judged, ascending.

    >>> rounds_up_to(30)
    (5, 10, 15, 20, 25, 30)
    """
    step = FIRST_ROUND * max(1, -(-(at_most - FIRST_ROUND) // (FIRST_ROUND * (MOST_ROUNDS - 1))))
    return (*range(FIRST_ROUND, at_most, step), at_most)


def two_sided_p(differences: Floats) -> float:
    """P value of the two-sided t-test that the mean is 0, as `paired_p_value` has it; 1 if all differences are 0."""
    if not differences.any():
        return 1.0
    return min(1.0, 2 * min(lower_p(differences, 0.0), lower_p(-differences, 0.0)))


def lower_p(differences: Floats, expected: float) -> float:
    """P value of the one-sided t-test that the mean is below what is expected."""
    from scipy.special import stdtr  # the import takes a while, and not every command needs it

    if np.ptp(differences) == 0:
        return 0.0 if differences[0] < expected else 1.0
    count, distance = len(differences), float(np.mean(differences)) - expected
    return float(stdtr(count - 1, distance / np.std(differences, ddof=1) * np.sqrt(count)))


def equivalence_p(differences: Floats, margin: float) -> float:
    """P value of two one-sided t-tests that the mean is between -margin and margin.

    Source: Schuirmann, 1987.
    """
    return max(lower_p(differences, margin), lower_p(-differences, margin))


@dataclass(frozen=True)
class Rounds:
    """The rounds of a confirmation; one round for a fixed number of seeds.

    Attributes:
        looks: numbers of seeds after each round, ascending.
    """

    looks: tuple[int, ...]

    def p_value(self, by_round: Sequence[float], *, two_sided: bool = True) -> float:
        """The p value over all rounds so far, valid whenever the confirmation ends.

        Args:
            by_round: p value of each round so far, from the first.
            two_sided: whether they are of two-sided tests.
        """
        least = min(p / share for p, share in zip(by_round, self._shares(), strict=False))
        if len(self.looks) == 1:
            return least
        null = _null_distribution(self.looks, two_sided)
        simulated = (int(np.searchsorted(null, least, side="right")) + 1) / (len(null) + 1)
        return float(
            min(1.0, simulated, least * sum(self._shares()))
        )  # the sum bounds it where it is too small to count

    def last_level(self, alpha: float) -> float:
        """The level of the last round's own p value at which the p value over all rounds is alpha."""
        if len(self.looks) == 1:
            return alpha
        return float(_null_distribution(self.looks, True)[int(alpha * NULL_STUDIES)])  # sorted: no quantile to search

    def _shares(self) -> list[float]:
        return [count / self.looks[-1] for count in self.looks]


def chance_to_settle(differences: Floats, rounds: Rounds, *, alpha: float, margin: float | None) -> float:
    """Predicted probability that the last round shows a difference, or equivalence within the margin.

    The mean and the variance are unknown: the prediction is over what the differences so far leave possible (Jeffreys'
    prior), which is Bayesian predictive power. Ending at a small chance takes nothing from the error rate.

    Args:
        differences: so far, two at least, and fewer than in the last round.
        rounds: of the confirmation.
        alpha: error rate that this comparison has in any case.
        margin: of equivalence; None without.
    """
    from scipy.special import stdtr

    rng = np.random.default_rng(SEED)
    count, total = len(differences), rounds.looks[-1]
    if np.ptp(differences) == 0:
        return 0.0
    mean, squares = float(np.mean(differences)), float(np.var(differences) * count)
    variance = squares / rng.chisquare(count - 1, FORECASTS)
    true_mean = mean + np.sqrt(variance / count) * rng.standard_normal(FORECASTS)
    new = total - count
    new_mean = true_mean + np.sqrt(variance / new) * rng.standard_normal(FORECASTS)
    new_squares = variance * rng.chisquare(new - 1, FORECASTS) if new > 1 else 0.0
    last_mean = (count * mean + new * new_mean) / total
    last_squares = squares + new_squares + count * new / total * (mean - new_mean) ** 2
    error = np.sqrt(last_squares / (total - 1) / total)
    settled = 2 * stdtr(total - 1, -np.abs(last_mean) / error) <= rounds.last_level(alpha)
    if margin is not None:
        settled |= stdtr(total - 1, (np.abs(last_mean) - margin) / error) <= rounds.last_level(alpha)
    return float(settled.mean())


@cache
def _null_distribution(looks: tuple[int, ...], two_sided: bool) -> Floats:
    """Sorted smallest p value over share of each simulated sequence of rounds in which nothing differs."""
    from scipy.special import stdtr

    rng = np.random.default_rng(SEED)
    mean, squares, before = np.zeros(NULL_STUDIES), np.zeros(NULL_STUDIES), 0
    least = np.full(NULL_STUDIES, np.inf)
    for count in looks:
        new = count - before
        # Mean and sum of squares of the new differences have known distributions: no need to draw each of them.
        new_mean = rng.standard_normal(NULL_STUDIES) / np.sqrt(new)
        new_squares = rng.chisquare(new - 1, NULL_STUDIES) if new > 1 else 0.0
        squares += new_squares + before * new / count * (mean - new_mean) ** 2
        mean = (before * mean + new * new_mean) / count
        t = mean / np.sqrt(squares / (count - 1) / count)
        p = 2 * stdtr(count - 1, -np.abs(t)) if two_sided else stdtr(count - 1, t)
        least = np.minimum(least, p * looks[-1] / count)
        before = count
    return np.sort(least)
