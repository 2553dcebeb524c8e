"""Learning rates over a training, as factors of the configured rates. Pure functions of how far it is.

A resumed trial needs no state: the factor of a step follows from its number.
"""

from __future__ import annotations

import math

from wsml_study.study.training_section import Training

START_DIVISOR, END_DIVISOR = 25.0, 1e4
"""one_cycle begins at the rate divided by the first, and ends at that divided by the second, as torch's does."""

LEAST_MOMENTUM, MOST_MOMENTUM = 0.85, 0.95
"""one_cycle's momentum (Adam's first beta) at the highest rate and at both ends, as torch's."""


def rate_factor(training: Training, step: int, *, steps_per_epoch: int, epochs: int) -> float:
    """The factor of the learning rates at a step of a phase.

    Args:
        training: with the schedule.
        step: of the optimizer, from 0.
        steps_per_epoch: of the optimizer.
        epochs: of the phase.

    >>> cosine = Training(learning_rate_schedule="cosine", learning_rate_warmup=1)
    >>> [round(rate_factor(cosine, step, steps_per_epoch=2, epochs=3), 3) for step in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    # In units of steps, or of whole epochs.
    by_epoch = training.learning_rate_by == "epoch"
    unit = step // steps_per_epoch if by_epoch else step
    units = epochs if by_epoch else epochs * steps_per_epoch
    if training.learning_rate_schedule == "one_cycle":
        return _cycled(unit, units, _peak(training), (1 / START_DIVISOR, 1.0, 1 / START_DIVISOR / END_DIVISOR))
    warmup = round((training.learning_rate_warmup or 0.0) * (1 if by_epoch else steps_per_epoch))
    if unit < warmup:
        return (unit + 1) / warmup
    if training.learning_rate_schedule == "cosine":
        least = training.learning_rate_final or 0.0
        done = (unit - warmup) / max(1, units - warmup)
        return least + (1 - least) * (1 + math.cos(math.pi * done)) / 2
    if training.learning_rate_schedule == "step":
        assert training.epochs_per_decay is not None, "the schedule needs it"
        factor = 0.1 if training.decay_factor is None else training.decay_factor
        return float(factor ** (step // steps_per_epoch // training.epochs_per_decay))
    return 1.0


def momentum_at(training: Training, step: int, *, steps_per_epoch: int, epochs: int) -> float | None:
    """The momentum at a step, which one_cycle moves against the rates; None where it stays as it is."""
    if training.learning_rate_schedule != "one_cycle":
        return None
    by_epoch = training.learning_rate_by == "epoch"
    unit = step // steps_per_epoch if by_epoch else step
    units = epochs if by_epoch else epochs * steps_per_epoch
    return _cycled(unit, units, _peak(training), (MOST_MOMENTUM, LEAST_MOMENTUM, MOST_MOMENTUM))


def _peak(training: Training) -> float:
    return 0.3 if training.one_cycle_peak is None else training.one_cycle_peak


def _cycled(unit: int, units: int, peak: float, ends: tuple[float, float, float]) -> float:
    """From the first to the second of `ends` and on to the third, by two halves of a cosine, as torch's OneCycleLR."""
    turn, last = peak * units - 1, units - 1
    first, second, third = ends
    if unit <= turn:
        return _eased(first, second, 1.0 if turn <= 0 else unit / turn)
    return _eased(second, third, (unit - turn) / (last - turn))


def _eased(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))
