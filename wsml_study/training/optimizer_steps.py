"""The optimizer steps of an epoch: which batches share one, at what rates, and how long their gradient may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wsml_study.study.training_section import Training
from wsml_study.training.rate_schedules import momentum_at, rate_factor
from wsml_study.training.weight_average import WeightAverage


@dataclass(frozen=True, kw_only=True)
class BatchShare:
    """A batch's part in a step.

    Attributes:
        share: of the images of the step; the batch's loss counts so much in the step's gradient.
        ends_step: the step is taken after this batch.
    """

    share: float
    ends_step: bool


def shares_of(batch_sizes: Sequence[int], accumulate: int) -> list[BatchShare]:
    """The part of each batch in its step, `accumulate` batches a step; the last step of an epoch may have fewer.

    >>> [(one.share, one.ends_step) for one in shares_of([4, 4, 2], 2)]
    [(0.5, False), (0.5, True), (1.0, True)]
    """
    shares = []
    for first in range(0, len(batch_sizes), accumulate):
        group = batch_sizes[first : first + accumulate]
        shares += [
            BatchShare(share=size / sum(group), ends_step=place == len(group) - 1) for place, size in enumerate(group)
        ]
    return shares


class OptimizerSteps:
    """Steps of an optimizer at the rates of a schedule."""

    def __init__(
        self,
        training: Training,
        optimizer: torch.optim.Optimizer,
        network: nn.Module,
        *,
        epoch: int,
        epochs: int,
        steps_per_epoch: int,
        average: WeightAverage | None = None,
    ) -> None:
        """Take no step yet.

        Args:
            training: the recipe.
            optimizer: whose groups hold the configured rates, as `initial_lr` if there is a schedule.
            network: whose gradient may be clipped.
            epoch, epochs: of the phase, from 1.
            steps_per_epoch: of the optimizer.
            average: follows each step; None for none.
        """
        self._average = average
        self._training, self._optimizer, self._network = training, optimizer, network
        self._next = (epoch - 1) * steps_per_epoch
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch

    def step(self) -> None:
        """Step with the gradients that are there, averaged over the ranks, and forget them."""
        training = self._training
        if training.gradient_clipping is not None:
            _clip(self._network.parameters(), training.gradient_clipping)
        if training.schedules_rates:
            self._set_rates()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.update()
        self._next += 1

    def _set_rates(self) -> None:
        length = {"steps_per_epoch": self._steps_per_epoch, "epochs": self._epochs}
        factor = rate_factor(self._training, self._next, **length)
        momentum = momentum_at(self._training, self._next, **length)
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
            if momentum is not None and "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            elif momentum is not None:
                group["momentum"] = momentum


def _clip(parameters: Iterable[Tensor], longest: float) -> None:
    """Scale the gradient of all parameters to this length if it is longer; without waiting for the device."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    scale = (longest / (length + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(gradients, scale)
