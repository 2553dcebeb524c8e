"""Mean or sum over the entries of a batch: under SGD the two differ by a factor B * C in the learning rate."""

from __future__ import annotations

from enum import StrEnum

from torch import Tensor

from wsml_study.methods.contract import Batch


class Reduction(StrEnum):
    """How the losses of all entries are combined."""

    SUM = "sum"
    MEAN = "mean"


def reduced(batch: Batch, losses_BC: Tensor, reduction: Reduction) -> Tensor:
    """This rank's share of the global sum or mean, () as a loss has to be; padding must be 0."""
    return batch.total(losses_BC) if reduction is Reduction.SUM else batch.mean(losses_BC)
