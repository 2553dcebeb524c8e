"""How population based training perturbs the searched values of a trial.

Source: Jaderberg et al., "Population Based Training of Neural Networks", 2017 (arXiv 1711.09846): explore by factors of
0.8 and 1.2, or by resampling.
"""

from __future__ import annotations

import math
import random

from wsml_study.description import Scalar
from wsml_study.study.search_section import FloatRange, IntRange
from wsml_study.study.search_space import SearchedKey, Values

FACTORS = (0.8, 1.2)


def perturbed(
    values: Values, keys: dict[str, SearchedKey], *, resample_probability: float, draw: random.Random
) -> dict[str, Scalar]:
    """Perturbed values: numbers of a continuous range times a factor, others moved to a neighbour, or resampled.

    Args:
        values: of the trial whose network is copied.
        keys: the searched keys by dotted path.
        resample_probability: probability of drawing a value anew from its whole domain.
        draw: source of randomness.
    """
    return {
        path: _anew(keys[path], draw) if draw.random() < resample_probability else _near(keys[path], value, draw)
        for path, value in values.items()
    }


def _anew(key: SearchedKey, draw: random.Random) -> Scalar:
    if key.num_values is not None:
        return key.value(draw.randrange(key.num_values))
    domain = key.domain
    assert isinstance(domain, FloatRange)
    if domain.log:
        return _within(domain, math.exp(draw.uniform(math.log(domain.low), math.log(domain.high))))
    return draw.uniform(domain.low, domain.high)


def _near(key: SearchedKey, value: Scalar, draw: random.Random) -> Scalar:
    if key.num_values is None:
        assert isinstance(key.domain, FloatRange)
        assert isinstance(value, int | float)
        return _within(key.domain, value * draw.choice(FACTORS))
    at = next(index for index in range(key.num_values) if key.value(index) == value)
    return key.value(min(max(at + draw.choice((-1, 1)), 0), key.num_values - 1))


def _within(domain: FloatRange | IntRange, value: float) -> float:
    return min(max(value, domain.low), domain.high)
