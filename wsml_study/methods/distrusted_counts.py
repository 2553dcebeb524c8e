"""How many labels the large-loss methods distrust, known before any training; standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, chain

from wsml_study.methods.schedules import Schedule, distrusted_count

LARGE_LOSS = frozenset({"LL-R", "LL-Ct", "LL-Cp"})

COUNT_ALL_ENTRIES = frozenset({"code", "as_published", "kept"})
"""Variants whose k depends on the size of the batch alone: the rate of all its entries, rounded up."""


def rate_in_epoch(method: str, schedule: Schedule, epoch: int) -> Fraction:
    """The fraction of the counted labels that a method selects in an epoch, counted from 1.

    LL-Cp keeps its corrections, so each epoch selects only what the schedule has grown by.
    """
    return schedule(epoch) - schedule(epoch - 1) if method == "LL-Cp" else schedule(epoch)


def num_distrusted(
    variant: str, rate: Fraction, *, num_images: int, num_classes: int, num_observed: int
) -> int | Fraction:
    """k, the labels that a batch distrusts; of `carried`, whose batches differ, on average.

    Args:
        variant: of the method.
        rate: as `rate_in_epoch`.
        num_images, num_classes: of the batch.
        num_observed: labels of the batch that are observed.
    """
    num_unobserved = num_images * num_classes - num_observed
    match variant:
        case "paper" | "unobserved":
            return distrusted_count(rate, num_unobserved)
        case "mlcpl":
            return max(0, round(rate * num_unobserved) - 1)
        case "per_image":
            return num_images * distrusted_count(rate, num_classes)
        case "carried":
            return rate * num_images * num_classes
    return distrusted_count(rate, num_images * num_classes)


def course(
    method: str,
    variant: str,
    schedule: Schedule,
    *,
    num_epochs: int,
    batches: Sequence[Sequence[int]],
    num_classes: int,
) -> Iterator[int | Fraction]:
    """What a training takes from its schedule: numbers that are equal for two schedules only if they act the same.

    These are k for each epoch and each batch, of which those of one size are alike except in `carried`; or the rate of
    each epoch, where k depends on how many labels of a batch are observed.

    Args:
        method, variant: of the large-loss methods.
        schedule: of the rate.
        num_epochs: of the longest phase.
        batches: images of each batch of an epoch; several such lists where it is not known how the last ones are made.
        num_classes: of the dataset.
    """
    sizes = sorted(set().union(*batches))
    for epoch in range(1, num_epochs + 1):
        rate = rate_in_epoch(method, schedule, epoch)
        if variant in COUNT_ALL_ENTRIES:
            yield from (distrusted_count(rate, size * num_classes) for size in sizes)
        elif variant == "carried":
            sums = (accumulate(size * num_classes for size in epoch_batches) for epoch_batches in batches)
            yield from (rate.numerator * entries // rate.denominator for entries in chain.from_iterable(sums))
        elif variant == "per_image":
            yield distrusted_count(rate, num_classes)
        else:
            yield rate
