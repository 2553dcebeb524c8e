"""Rejection rates as tensors: of K trials at once, for methods that are stacked (`stacking.py`), or of a compiled loss.

Numbers of labels are computed from exact fractions, trial by trial, so that each equals that of a trial alone.
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

SMALLEST_MOST = 64
"""Labels of a batch that compiled code can distrust at least: trials that distrust fewer share one code."""


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


class FilledRate(Rates):
    """The rate of one trial in tensors that stay the same ones, so that code compiled with them serves every batch.

    Numbers of labels are (1,), for logits (B, C).
    """

    def __init__(self, largest: Fraction, device: torch.device) -> None:
        """Start at 0.

        Args:
            largest: of all rates that it will be filled with, in [0, 1].
            device: of the batches.
        """
        super().__init__([largest])
        self._count = Counts(counts=torch.zeros(1, dtype=torch.int64, device=device), most=0)
        self._rate: Fraction | None = None
        self._numerator, self._denominator = torch.zeros_like(self._count.counts), torch.ones_like(self._count.counts)

    def fill(self, rate: Fraction, num_counted: int, num_before: int | None = None) -> None:
        """Take the rate of a batch, without waiting for the device.

        Args:
            rate: at most the largest one.
            num_counted: the labels of the batch that it is a fraction of.
            num_before: such labels of the epoch's earlier batches, for `carried_counts`; None for `counts`.

        Raises:
            ValueError: the rate is outside [0, 1].
        """
        rate = exact_rate(rate)
        if rate != self._rate:
            self._rate, nearest = rate, rate.limit_denominator(LARGEST_DENOMINATOR)
            self._numerator.fill_(nearest.numerator)
            self._denominator.fill_(nearest.denominator)
        if num_before is None:
            self._count.counts.fill_(distrusted_count(rate, num_counted))
        else:
            self._count.counts.fill_(carried_count(rate, num_before, num_counted))
        # `most` is a constant of the code. A power of two leaves few of them, which trials of other rates share.
        most = max(SMALLEST_MOST, distrusted_count(self.rates[0], num_counted))
        self._count = Counts(counts=self._count.counts, most=1 << (most - 1).bit_length())

    def counts(self, num_counted: int, device: torch.device) -> Counts:
        """The number that was filled in."""
        del num_counted, device
        return self._count

    def carried_counts(self, num_before: int, num_counted: int, device: torch.device) -> Counts:
        """The number that was filled in."""
        del num_before, num_counted, device
        return self._count

    def fraction(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Numerator and denominator (1,), int64."""
        del device
        return self._numerator, self._denominator


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
