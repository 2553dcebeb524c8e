"""How many scores are at least as large as each of a few of them, without sorting them all where that takes long.

Sorting costs 3 to 5 nanoseconds a score where NumPy's vector instructions are fast and 20 where they are slow (AVX-512
of AMD's Zen 4); buckets cost 7 to 9 on either, so how fast it sorts is measured once. Scores fall into buckets of equal
width. Which of the few are below a bucket is looked up, and only the scores in buckets that hold some of the few, a
fifth of all where one in 30 is asked for, are compared with these. A bucket's number never falls as the score grows,
rounding included, so that the counts are exact.

Shapes: N scores, P of them that are asked for, D distinct ones among these, B buckets, S scores that are compared.
"""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
Counts = npt.NDArray[np.intp]

SLOW_SORT_NS = 8.0
"""Per score: from here on buckets take less time."""

FEWEST_SCORES = 8192
"""With fewer of them a sort takes less time than the calls of these many small functions."""

LARGEST_SHARE = 1 / 8
"""Of the scores that are asked for; with more, most scores would have to be compared."""

MOST_COMPARISONS = 1.0
"""Per score: more where scores crowd in a few buckets, as probabilities near 0 do. Then all are sorted after all."""

OUTSIDE = 2
"""Buckets in front of the first of the few, for all that score less."""


def num_reaching(scores_N: Scores, least_P: Scores) -> Counts:
    """How many scores are at least as large as each of these.

    >>> num_reaching(np.array([3.0, 1.0, 2.0, 2.0]), np.array([2.0, 3.0]))
    array([3, 1])

    Args:
        scores_N: any numbers but NaN.
        least_P: ascending, one or more.
    """
    few_are_asked_for = len(scores_N) >= FEWEST_SCORES and len(least_P) <= LARGEST_SHARE * len(scores_N)
    if few_are_asked_for and sorts_slowly():
        reaching_P = _by_buckets(scores_N, least_P)
        if reaching_P is not None:
            return reaching_P
    return len(scores_N) - np.searchsorted(np.sort(scores_N), least_P)


@cache
def sorts_slowly() -> bool:
    """Whether this processor needs long to sort, measured in ten milliseconds, once per process.

    The counts are the same either way.
    """
    scores_N = np.random.default_rng(0).random(2 * FEWEST_SCORES, np.float32)
    seconds = []
    for _ in range(4):  # the fastest: the first one loads code, and other work may interrupt
        began = time.perf_counter()
        np.sort(scores_N)
        seconds.append(time.perf_counter() - began)
    return min(seconds) / len(scores_N) > SLOW_SORT_NS * 1e-9


def _by_buckets(scores_N: Scores, least_P: Scores) -> Counts | None:
    """As `num_reaching`; None where the scores are spread too unevenly for it."""
    num_buckets = 2 ** (len(scores_N).bit_length() - 2)  # two to four scores a bucket (measured)
    is_new_P = np.append(True, least_P[1:] != least_P[:-1])
    least_D = least_P[is_new_P]
    lowest, highest = float(least_D[0]), float(least_D[-1])
    if not -np.inf < lowest < highest < np.inf:
        return None
    factor = (num_buckets - 2 * OUTSIDE) / (highest - lowest)
    shift = OUTSIDE - factor * lowest
    least, most = float(np.finfo(scores_N.dtype).tiny), float(np.finfo(scores_N.dtype).max)
    if not (least < factor < most and abs(shift) < most):
        return None
    bucket_N, bucket_D = (_buckets(numbers, factor, shift, num_buckets) for numbers in (scores_N, least_D))
    held_B = np.bincount(bucket_D, minlength=num_buckets)  # how many of the few a bucket holds
    up_to_B = held_B.cumsum()
    compared_S = np.flatnonzero((held_B > 0).take(bucket_N))
    most_held = int(held_B.max())
    if len(compared_S) * most_held > MOST_COMPARISONS * len(scores_N):
        return None
    bucket_S = bucket_N.take(compared_S)
    end_S = up_to_B.take(bucket_S)
    passed_S = _passed(scores_N.take(compared_S), least_D, end_S - held_B.take(bucket_S), end_S, most_held)
    compared_reaching_D = len(passed_S) - np.bincount(passed_S, minlength=len(least_D) + 1).cumsum()[:-1]
    others_B = np.bincount(bucket_N, minlength=num_buckets)
    others_B[bucket_D] = 0
    others_up_to_B = others_B.cumsum()
    reaching_D: Counts = compared_reaching_D + (others_up_to_B[-1] - others_up_to_B.take(bucket_D))
    return reaching_D if len(least_D) == len(least_P) else reaching_D[is_new_P.cumsum() - 1]


def _buckets(numbers: Scores, factor: float, shift: float, num_buckets: int) -> Counts:
    with np.errstate(over="ignore"):  # infinite is far enough outside
        places = numbers * numbers.dtype.type(factor)
    places += places.dtype.type(shift)
    return np.clip(places, 0, num_buckets - 1, out=places).astype(np.intp)


def _passed(scores_S: Scores, least_D: Scores, start_S: Counts, end_S: Counts, most: int) -> Counts:
    """How many of the few, ascending, a score has reached: all up to `start`, none from `end` on, `most` in between."""
    passed_S = start_S
    for _ in range(most):
        reaches_next_S = least_D.take(passed_S, mode="clip") <= scores_S
        passed_S = passed_S + (reaches_next_S & (passed_S < end_S))
    return passed_S
