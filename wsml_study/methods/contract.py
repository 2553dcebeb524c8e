"""What every way to treat an unobserved label takes and gives.

Shapes: B images of this rank's share of the batch, C classes, N training images, R ranks; K batches at once, each of
another trial, where methods are stacked (`stacking.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributed.nn import functional as differentiable

POSITIVE = 1
UNOBSERVED = 0
NEGATIVE = -1
PADDING = 9
"""State of every label of a row that only fills up a rank with fewer images than the others: it counts nowhere."""


class Peers:
    """The ranks that share a global batch: image b of rank r is image b * R + r of it. One rank by default."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    def gather(self, share: Tensor) -> Tensor:
        """Every rank's share, (B, ...) each, concatenated to (R * B, ...), rank by rank; carries no gradient."""
        if self.size == 1:
            return share.detach()
        shares = [torch.empty_like(share) for _ in range(self.size)]
        torch.distributed.all_gather(shares, share.detach().contiguous())
        return torch.cat(shares)

    def gather_batch(self, share: Tensor) -> Tensor:
        """Every rank's share, (B, ...) each, as (R * B, ...) in the order of the global batch; carries no gradient.

        That order does not depend on the number of ranks, except that padding rows come last.
        """
        gathered = self.gather(share)
        if self.size == 1:
            return gathered
        return gathered.view(self.size, *share.shape).transpose(0, 1).flatten(0, 1)

    def share_of(self, batch: Tensor) -> Tensor:
        """This rank's rows (B, ...) of what `gather_batch` gives."""
        return batch if self.size == 1 else batch[self.rank :: self.size]

    def sum(self, share: Tensor) -> Tensor:
        """Sum over the ranks, same shape, through which gradients flow to every rank's share."""
        if self.size == 1:
            return share
        total: Tensor = differentiable.all_reduce(share)  # type: ignore[no-untyped-call]
        return total

    def average_gradients(self, module: nn.Module) -> None:
        """Replace the gradients of a module's parameters by their means over the ranks."""
        for parameter in module.parameters():
            if self.size > 1 and parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= self.size

    @torch.no_grad()
    def take_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors of floating point, in place, by those that rank 0 has."""
        taken = [tensor for tensor in tensors if tensor.is_floating_point()]
        if self.size == 1 or not taken:
            return
        together = torch.cat([tensor.flatten() for tensor in taken])
        torch.distributed.broadcast(together, src=0)
        for tensor, values in zip(taken, torch.split(together, [tensor.numel() for tensor in taken]), strict=True):
            tensor.copy_(values.view_as(tensor))


ALONE = Peers()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One rank's share of a global batch; for a stacked method K of them, one per trial, before all other dimensions.

    Attributes:
        logits_BC: scores before the sigmoid, carrying gradients.
        labels_BC: int8 states, +1 positive, -1 negative, 0 unobserved, 9 padding.
        indices_B: rows of the training label matrix; meaningless in padding rows.
        epoch: from 1; a trial that starts with a linear probe counts both phases from 1.
        epochs: how many epochs the phase is meant to run; those of the trial, where it has only one phase.
        num_images: images of the global batch, padding excluded.
        peers: the ranks that share the global batch. All have the same B.
        views: logits (B, C) of further views of the same images, by the names that the method's record takes: `strong`,
            of images changed more strongly, carrying gradients; `masked`, of what shows the observed positives alone.
    """

    logits_BC: Tensor
    labels_BC: Tensor
    indices_B: Tensor
    epoch: int
    epochs: int
    num_images: int
    peers: Peers = ALONE
    views: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def num_entries(self) -> int:
        """B * C of the global batch, padding excluded."""
        return self.num_images * self.logits_BC.shape[-1]

    @property
    def rows_B(self) -> Tensor:  # noqa: N802 - the suffix is the shape
        """The indices, with 0 in padding rows, so that they can index a matrix of all training images."""
        return self.indices_B.masked_fill(self.labels_BC[..., 0] == PADDING, 0)

    def mean(self, losses_BC: Tensor) -> Tensor:
        """This rank's share of the global mean over B * C entries.

        Scaled so that the average over ranks, which is what DistributedDataParallel takes of the gradients,
        is the global mean. Padding rows must be zero.
        """
        return sum_of_entries(losses_BC) * (self.peers.size / self.num_entries)

    def total(self, losses_BC: Tensor) -> Tensor:
        """This rank's share of the global sum, scaled so that the average over ranks is the global sum."""
        return sum_of_entries(losses_BC) * self.peers.size


def sum_of_entries(values_BC: Tensor) -> Tensor:
    """() of a batch, (K,) of K batches."""
    return values_BC.sum((-2, -1))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a method makes of a batch.

    Attributes:
        loss: (), this rank's share, scaled so that the average over ranks is the global loss; (K,) of K batches.
        distrusted_BC: mask of the unobserved labels not taken as negatives; None where a method selects none.
    """

    loss: Tensor
    distrusted_BC: Tensor | None = None


class Method(nn.Module):
    """One way to treat unobserved labels.

    State per training image (LL-Cp's corrections, ROLE's estimate) is a buffer or a parameter, so that
    `state_dict()` carries it, and must be equal on every rank after every batch.

    Attributes:
        stacked_numbers: attributes that may be tensors (K, 1, 1) instead of numbers, since they are only combined with
            tensors of entries; `forward` then takes K batches (K, B, C) as well as one. None where it takes only one.
        predicts_mirrored: whether half of the images are mirrored, drawn by seed and epoch, when `finish_epoch`
            predicts. Only where training mirrors images.
    """

    stacked_numbers: ClassVar[tuple[str, ...] | None] = None
    predicts_mirrored: bool = False

    def __init__(self, labels_NC: Tensor) -> None:
        """Start with nothing learnt and nothing corrected.

        A subclass adds its options as keywords, under the keys of its record.

        Args:
            labels_NC: int8, the observed states of all training images, equal on every rank; only to be read.
        """
        del labels_NC
        super().__init__()

    def forward(self, batch: Batch) -> Outcome:
        """The loss of a batch; may update the method's own state."""
        raise NotImplementedError

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Optimizer groups of what the method itself learns, none by default.

        The training loop averages the gradients of the method's parameters over the ranks before each step.

        Args:
            learning_rate: that of the backbone.
        """
        del learning_rate
        return []

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Called once before the first batch of an epoch, with epochs counted as in `Batch`."""

    def finish_epoch(self, epoch: int, epochs: int, predict: Callable[[], Tensor]) -> None:
        """Called once after the last batch of an epoch.

        Args:
            epoch: the epoch that ends, from 1.
            epochs: how many the trial is meant to run.
            predict: gives the logits (N, C) of all training images under the current weights, unmirrored (or as
                `predicts_mirrored` says) and without dropout, equal on every rank. It is a pass over the data: either
                every rank calls it, or none.
        """

    def compile_loss(self, compiled: Callable[[Callable[..., Any]], Callable[..., Any]], epochs: int) -> None:
        """Compute the loss of a batch by compiled code from now on, one for all epochs; by default nothing is compiled.

        Args:
            compiled: gives the compiled version of a function, whose first argument is a tensor.
            epochs: how many epochs the phase is meant to run.
        """

    def corrected_labels(self) -> Tensor | None:
        """Bool (N, C): unobserved labels that are positives for good, in all later epochs; None if there never are any.

        A method that gives them says so in its record (`corrects_for_good`); a study then keeps them for each trial.
        """
        return None

    def rejection_rate(self, epoch: int) -> float | None:
        """The schedule's rate in an epoch, a fraction, or None where the method has none."""
        del epoch
        return None
