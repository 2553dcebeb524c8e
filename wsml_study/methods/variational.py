"""PU-MLC's loss: positives against all images, from each of which the class may or may not be absent.

Shapes: B images of this rank's share of the batch, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.baselines import precise
from wsml_study.methods.contract import PADDING, POSITIVE, Batch, Method, Outcome
from wsml_study.methods.reduction import Reduction

LEAST_TEMPERATURE = 0.01
"""Of a class whose logits are all but equal. The source has no bound, and divides by 0 for a batch of one image."""


class PositiveUnlabelled(Method):
    """PU-MLC: (mean of f)^gamma ln(mean of f) - mean over observed positives of ln f, summed over the classes.

    f = sigmoid(z / T), means over the images of the batch, positives included; a class without positives has only the
    first part. T = min(alpha * standard deviation of the class's logits in the batch, 1), and no gradient flows through
    T and the power. Observed negatives count as unlabelled, as in the source. The source adds a consistency of images
    that are mixed with each other (mixup), for which the network is run a second time, and a module of its network;
    neither is here.
    Source: Yuan, Zhang, Huang, "Positive Label Is All You Need for Multi-Label Classification", ICME 2024;
    TAKELAMAG/PU-MLC. Its base without gamma and T: Chen et al., "A Variational Approach for Learning from Positive and
    Unlabeled Data", NeurIPS 2020.
    """

    stacked_numbers = ("pu_rebalance", "pu_temperature")

    def __init__(self, labels_NC: Tensor, *, pu_rebalance: float, pu_temperature: float, reduction: str) -> None:
        """Take gamma, at least 0, alpha, above 0, and `sum` or `mean` over the classes."""
        super().__init__(labels_NC)
        self.pu_rebalance = pu_rebalance
        self.pu_temperature = pu_temperature
        self.reduction = Reduction(reduction)

    def forward(self, batch: Batch) -> Outcome:
        """The loss; nothing is distrusted, no state."""
        logits_BC = precise(batch.logits_BC)
        log_f_BC = F.logsigmoid(logits_BC / self._temperature(batch, logits_BC.detach()))
        positive_BC = batch.labels_BC == POSITIVE
        num_positives_1C = _total(batch, positive_BC.to(logits_BC.dtype))
        missed_1C = -_total(batch, log_f_BC.masked_fill(~positive_BC, 0)) / num_positives_1C.clamp(min=1)
        log_mean_1C = self._log_mean(batch, log_f_BC)
        rebalanced_1C = torch.exp(self.pu_rebalance * log_mean_1C.detach()) * log_mean_1C
        summed = (rebalanced_1C + missed_1C).sum((-2, -1))
        return Outcome(loss=summed if self.reduction is Reduction.SUM else summed / logits_BC.shape[-1])

    @torch.no_grad()
    def _temperature(self, batch: Batch, logits_BC: Tensor) -> Tensor:
        """T of each class, (1, C)."""
        padding_BC = batch.labels_BC == PADDING
        mean_1C = _total(batch, logits_BC.masked_fill(padding_BC, 0)) / batch.num_images
        squares_BC = ((logits_BC - mean_1C) ** 2).masked_fill(padding_BC, 0)
        deviation_1C = (_total(batch, squares_BC) / batch.num_images).sqrt()
        return (self.pu_temperature * deviation_1C).clamp(LEAST_TEMPERATURE, 1)

    def _log_mean(self, batch: Batch, log_f_BC: Tensor) -> Tensor:
        """ln of the mean of f over the images of the global batch, (1, C), from ln f without leaving the logarithms."""
        log_f_BC = log_f_BC.masked_fill(batch.labels_BC == PADDING, -math.inf)
        largest_1C = batch.peers.gather(log_f_BC.amax(-2, keepdim=True)).amax(-2, keepdim=True)
        return largest_1C + (_total(batch, torch.exp(log_f_BC - largest_1C)) / batch.num_images).log()


def _total(batch: Batch, values_BC: Tensor) -> Tensor:
    """Sum over the images of the global batch, (1, C), equal on every rank."""
    return batch.peers.sum(values_BC.sum(-2, keepdim=True))
