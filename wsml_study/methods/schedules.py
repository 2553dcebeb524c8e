"""Schedules of the rejection rate over the epochs, in exact arithmetic; standard library only.

A rate that a study file writes as 0.002 means the decimal 2/1000, not the binary number nearest to it. Rates are
therefore `fractions.Fraction` from end to end, and a rate is a product, never a running sum: sums of binary numbers
drift, and `ceil` turns the last bit of a drift into one more distrusted label.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

Schedule = Callable[[int], Fraction]
"""Epoch, counted from 1, to the rejection rate in [0, 1]."""

_COSINE_STEPS = 10**9
"""A cosine ramp is rounded to nine decimals: `ceil` must not hang on the last bit of a platform's cosine."""


def exact_rate(rate: float | Fraction) -> Fraction:
    """The decimal that a rate was written as.

    >>> exact_rate(0.002), 3 * exact_rate(0.1)
    (Fraction(1, 500), Fraction(3, 10))

    Raises:
        ValueError: the rate is not a number in [0, 1].
    """
    exact = rate if isinstance(rate, Fraction) else Fraction(repr(float(rate)))
    if not 0 <= exact <= 1:
        raise ValueError(f"expected a rate as a fraction in [0, 1], got {float(rate)}")
    return exact


def distrusted_count(rate: Fraction, num_counted: int) -> int:
    """The exact ceiling of rate * num_counted: how many labels a rate distrusts.

    >>> distrusted_count(exact_rate(0.005) * 5, 16 * 20), distrusted_count(exact_rate(0.0001), 320)
    (8, 1)
    """
    return math.ceil(rate * num_counted)


def carried_count(rate: Fraction, num_before: int, num_counted: int) -> int:
    """How many labels a batch distrusts so that with those before it floor(rate * all) have been.

    >>> [carried_count(exact_rate(0.001), 80 * batch, 80) for batch in (0, 11, 12, 13, 24)]
    [0, 0, 1, 0, 1]

    Args:
        rate: fraction in [0, 1].
        num_before: counted labels of the epoch's earlier batches.
        num_counted: counted labels of the batch.
    """
    return math.floor(rate * (num_before + num_counted)) - math.floor(rate * num_before)


@dataclass(frozen=True, kw_only=True)
class AfterWarmup:
    """Nothing during the warm-up, then the course that a subclass describes, at most 1.

    Attributes:
        warmup_epochs: epochs at the start with rate 0.
    """

    warmup_epochs: int = 1

    def __call__(self, epoch: int) -> Fraction:
        """The rate in an epoch, counted from 1; 0 before the first."""
        since_warmup = epoch - self.warmup_epochs
        return min(self.course(since_warmup), Fraction(1)) if since_warmup > 0 else Fraction(0)

    def course(self, since_warmup: int) -> Fraction:
        """The rate in the epoch that is the `since_warmup`-th (from 1) after the warm-up; it never falls."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Linear(AfterWarmup):
    """0, r, 2r, ...: the schedule of Kim et al., CVPR 2022, if the warm-up lasts one epoch."""

    rate_per_epoch: Fraction

    def course(self, since_warmup: int) -> Fraction:
        """One more `rate_per_epoch` in every epoch."""
        return since_warmup * self.rate_per_epoch


@dataclass(frozen=True, kw_only=True)
class Constant(AfterWarmup):
    """The final rate from the first epoch after the warm-up on."""

    final_rate: Fraction

    def course(self, since_warmup: int) -> Fraction:
        """The final rate."""
        del since_warmup
        return self.final_rate


@dataclass(frozen=True, kw_only=True)
class CappedLinear(AfterWarmup):
    """Linear until it reaches the final rate."""

    rate_per_epoch: Fraction
    final_rate: Fraction

    def course(self, since_warmup: int) -> Fraction:
        """One more `rate_per_epoch` in every epoch, at most the final rate."""
        return min(since_warmup * self.rate_per_epoch, self.final_rate)


@dataclass(frozen=True, kw_only=True)
class Cosine(AfterWarmup):
    """Half a cosine wave from 0 up to the final rate, reached exactly `ramp_epochs` after the warm-up."""

    final_rate: Fraction
    ramp_epochs: int

    def course(self, since_warmup: int) -> Fraction:
        """final_rate * (1 - cos(pi * since_warmup / ramp_epochs)) / 2 on the ramp."""
        if since_warmup >= self.ramp_epochs:
            return self.final_rate
        share = (1 - math.cos(math.pi * since_warmup / self.ramp_epochs)) / 2
        return self.final_rate * Fraction(round(share * _COSINE_STEPS), _COSINE_STEPS)


@dataclass(frozen=True, kw_only=True)
class Step(AfterWarmup):
    """Grows by `rate_per_step` right after the warm-up, and again every `epochs_per_step` epochs."""

    rate_per_step: Fraction
    epochs_per_step: int

    def course(self, since_warmup: int) -> Fraction:
        """One `rate_per_step` for every step begun."""
        return (1 + (since_warmup - 1) // self.epochs_per_step) * self.rate_per_step


_NUMS_OF_EPOCHS = ("ramp_epochs", "epochs_per_step")
"""Parameters that are whole numbers, at least 1; all others are rates."""

_COURSES: dict[str, type[AfterWarmup]] = {
    "linear": Linear,
    "constant": Constant,
    "capped_linear": CappedLinear,
    "cosine": Cosine,
    "step": Step,
}
SHAPES = tuple(_COURSES)


def schedule(shape: str, *, warmup_epochs: int = 1, **parameters: float | Fraction | None) -> AfterWarmup:
    """The schedule of a given shape; picklable, and equal to any other of the same parameters.

    >>> paper = schedule("linear", warmup_epochs=1, rate_per_epoch=0.002)
    >>> [str(paper(epoch)) for epoch in (1, 2, 3, 4)]
    ['0', '1/500', '1/250', '3/500']

    Args:
        shape: one of SHAPES.
        warmup_epochs: epochs at the start with rate 0.
        parameters: what the shape's class names as its fields; rates are fractions in [0, 1], a float standing for
            the decimal that it prints as; None counts as not given.

    Raises:
        ValueError: an unknown shape, a parameter too many or too few, or a value out of range.
    """
    if shape not in _COURSES:
        raise ValueError(f"expected a schedule shape among {', '.join(SHAPES)}, got {shape!r}")
    course = _COURSES[shape]
    given = {name: value for name, value in parameters.items() if value is not None}
    needed = [field.name for field in fields(course) if field.name != "warmup_epochs"]
    if sorted(given) != sorted(needed):
        raise ValueError(f"shape {shape} takes {', '.join(needed)}; got {', '.join(given) or 'nothing'}")
    values: dict[str, Any] = {
        name: _num_epochs(name, value, at_least=1) if name in _NUMS_OF_EPOCHS else exact_rate(value)
        for name, value in given.items()
    }
    return course(warmup_epochs=_num_epochs("warmup_epochs", warmup_epochs, at_least=0), **values)


def _num_epochs(name: str, value: float | Fraction, *, at_least: int) -> int:
    if not isinstance(value, int) or value < at_least:
        raise ValueError(f"expected {name} to be a whole number of epochs, at least {at_least}, got {value}")
    return value
