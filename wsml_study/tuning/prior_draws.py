"""Proposals drawn from priors: where the user expects the best values.

A sampler that uses no results draws every proposal from them. In front of a model they take the place of its startup
trials, and a share of the later ones that decays, as in PriorBand (Mallik et al., NeurIPS 2023): a good prior speeds
the search up, and a wrong one costs a bounded number of trials.
"""

from __future__ import annotations

import math
import random
from statistics import NormalDist

from wsml_study.description import Scalar
from wsml_study.study.option_fields import option_values
from wsml_study.study.search_section import FloatRange, IntRange, Prior
from wsml_study.study.search_space import SearchedKey, SearchSpace
from wsml_study.study.spec import Study

STARTUP_TRIALS = 10
"""Drawn from priors in front of a sampler that has no `n_startup_trials`."""


class PriorDraws:
    """Decides which proposals are drawn from priors, and draws them."""

    def __init__(self, study: Study, space: SearchSpace) -> None:
        """Of a study, which may have no priors."""
        self._study, self._space = study, space
        self._has_priors = any(parameter.has_prior for parameter in study.search.values())

    def share(self, number: int) -> float:
        """The probability that a proposal, by its number from 0, is drawn from priors."""
        if not self._has_priors:
            return 0.0
        record = self._study.sampler.record
        if not record.model_based:
            return 1.0
        startup = option_values(self._study.sampler, record).get("n_startup_trials", STARTUP_TRIALS)
        return min(1.0, (int(startup or 0) / (number + 1)) ** 2)

    def values(self, number: int, attempt: int) -> dict[str, Scalar] | None:
        """The values of a proposal, None if the sampler is to be asked; the same after an interruption.

        Args:
            number: of the proposal, from 0.
            attempt: how many proposals before it were repeats of trials.
        """
        draws = random.Random(f"{self._study.sampler.seed} {number} {attempt}")
        if draws.random() >= self.share(number):
            return None
        values: dict[str, Scalar] = {}
        for key in self._space.keys:
            if key.applies(values):
                values[key.path] = self._drawn(key, draws)
        return values

    def _drawn(self, key: SearchedKey, draws: random.Random) -> Scalar:
        match key.domain:
            case FloatRange() | IntRange():
                return _in_range(key, key.domain, draws)
            case choices:
                return draws.choices(choices, weights=self._study.search[key.path].weights)[0]


def _in_range(key: SearchedKey, domain: FloatRange | IntRange, draws: random.Random) -> Scalar:
    """A value of the prior, cut off at the ends of the range; without a prior uniform on the range's scale."""
    low, high = domain.low, domain.high
    if domain.log:
        value = math.exp(_between(math.log(low), math.log(high), _in_logarithms(domain.normal_prior), draws))
    else:
        value = _between(low, high, domain.normal_prior, draws)
    if key.num_values is None:
        return min(max(value, low), high)
    step = domain.step or 1
    return key.value(min(max(round((value - low) / step), 0), key.num_values - 1))


def _in_logarithms(prior: Prior | None) -> Prior | None:
    return None if prior is None else Prior(mean=math.log(prior.mean), deviation=math.log(prior.deviation))


def _between(low: float, high: float, prior: Prior | None, draws: random.Random) -> float:
    uniform = draws.random()
    if prior is None:
        return low + uniform * (high - low)
    normal = NormalDist(prior.mean, prior.deviation)
    below, upto = normal.cdf(low), normal.cdf(high)
    probability = below + uniform * (upto - below)
    return normal.inv_cdf(min(max(probability, 1e-12), 1 - 1e-12))
