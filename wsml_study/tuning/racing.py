"""The race of configs that are judged by several runs: a bad one loses after its first, and is not run again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95


def has_lost(values: Sequence[float], others: Sequence[Sequence[float]], *, num_runs: int, num_kept: int) -> bool:
    """Whether a config's further runs are not worth while, since its mean will plausibly not be among the best.

    The model is that of randomized blocks: a value is the config's, plus the run's (a seed or draw is harder for all
    configs), plus noise. The configs that have all their runs give the effects of the runs, and the deviation s of the
    noise with (configs - 1) * (runs - 1) degrees of freedom. A config loses when its mean, without the effects of its n
    runs, is below the `num_kept`-th best mean by more than t * s * sqrt(1 / n + 1 / num_runs), t being the one-sided
    95 % quantile of Student's distribution. Before two configs, and `num_kept`, have all their runs none loses.

    Args:
        values: of the config's runs so far, in their order; larger is better.
        others: the same of all other configs.
        num_runs: of a config that does not lose.
        num_kept: number of configs that are wanted in the end.
    """
    complete = [other for other in others if len(other) == num_runs]
    if len(complete) < max(2, num_kept):
        return False
    values_CR = np.array(complete)
    means_C = values_CR.mean(axis=1)
    effects_R = values_CR.mean(axis=0) - values_CR.mean()
    noise_CR = values_CR - means_C[:, None] - effects_R
    degrees = (len(complete) - 1) * (num_runs - 1)
    deviation = math.sqrt(float((noise_CR**2).sum()) / degrees)
    from scipy import stats  # the import takes half a second, and only studies with seeds need it

    quantile = float(stats.t.ppf(CONFIDENCE, degrees))
    behind = float(np.sort(means_C)[-num_kept] - (np.array(values) - effects_R[: len(values)]).mean())
    return behind > quantile * deviation * math.sqrt(1 / len(values) + 1 / num_runs)
