"""Rejection rates of K trials at once, for methods that are stacked (`stacking.py`).

As exact as one rate: numbers of labels are computed from fractions, trial by trial, once per epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from wsml_study.methods.schedules import Schedule, carried_count, distrusted_count, exact_rate
from wsml_study.methods.selection import Counts

LARGEST_DENOMINATOR = 10**9
"""Exact for rates of up to nine decimals, and small enough for products in 64 bits."""


class Rates:
    """A rate in [0, 1] for each of K trials."""

    def __init__(self, rates: Sequence[Fraction]) -> None:
        """Take the rates.

        Raises:
            ValueError: one of them is outside [0, 1].
        """
        self.rates = tuple(exact_rate(rate) for rate in rates)
        self._counts: dict[int, Counts] = {}

    def counts(self, num_counted: int, device: torch.device) -> Counts:
        """ceil(rate * num_counted) for each rate; computed once for every `num_counted`."""
        if num_counted not in self._counts:
            counts = [distrusted_count(rate, num_counted) for rate in self.rates]
            self._counts[num_counted] = Counts.of(counts, device)
        return self._counts[num_counted]

    def carried_counts(self, num_before: int, num_counted: int, device: torch.device) -> Counts:
        """`carried_count` for each rate."""
        return Counts.of([carried_count(rate, num_before, num_counted) for rate in self.rates], device)

    def fraction(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Numerators and denominators (K, 1), int64."""
        rates = [rate.limit_denominator(LARGEST_DENOMINATOR) for rate in self.rates]
        parts = torch.tensor([[rate.numerator, rate.denominator] for rate in rates], device=device)
        return parts[:, :1], parts[:, 1:]


class Schedules:
    """The schedules of K trials as one that gives K rates."""

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        self._schedules = tuple(schedules)
        self._rates: dict[int, Rates] = {}
        self._increases: dict[int, Rates] = {}

    def __call__(self, epoch: int) -> Rates:
        """The rates in an epoch, counted from 1."""
        if epoch not in self._rates:
            self._rates[epoch] = Rates([schedule(epoch) for schedule in self._schedules])
        return self._rates[epoch]

    def increase(self, epoch: int) -> Rates:
        """By how much the rates have grown since the epoch before."""
        if epoch not in self._increases:
            self._increases[epoch] = Rates([schedule(epoch) - schedule(epoch - 1) for schedule in self._schedules])
        return self._increases[epoch]
