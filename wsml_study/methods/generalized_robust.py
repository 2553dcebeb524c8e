"""GR: an unobserved label's weights as positive and as negative depend on its p and on the epoch.

Shapes: B images of this rank's share of the batch, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.baselines import observed_cross_entropy, precise, probability
from wsml_study.methods.contract import UNOBSERVED, Batch, Method, Outcome


def generalized_cross_entropy(log_p: Tensor, q: float) -> Tensor:
    """(1 - p^q) / q from ln p: -ln p in the limit q -> 0, mean absolute error 1 - p at q = 1.

    Source: Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
    NeurIPS 2018.
    """
    return -log_p if q == 0 else -torch.expm1(q * log_p) / q


@dataclass(frozen=True, kw_only=True)
class Course:
    """A value that moves linearly over a trial."""

    first: float
    last: float

    def at(self, share: float) -> float:
        """The value after this fraction of the trial."""
        return self.first + (self.last - self.first) * share


class GeneralizedRobust(Method):
    """GR: observed cross-entropy; unobserved V * (K * l(p, q2) + (1 - K) * l(1 - p, q3)); mean over all B * C entries.

    l(p, q) = (1 - p^q) / q; K = sigmoid(w p + b) estimates how likely the label is positive, and
    V = exp(-((p - mu) / sigma)^2 / 2) is its weight; no gradient flows through p in K and V. As in the authors' code,
    in epoch t of T, w and b have moved (t - 1) / T of the way from their first to their last value, mu and sigma t / T.
    Observed negatives, which the source's setting lacks, count as in IU.
    Source: Chen, Li, Dai et al., "Boosting Single Positive Multi-label Classification with Generalized Robust Loss",
    IJCAI 2024; yan4xi1/GRLoss.
    """

    stacked_numbers: ClassVar[tuple[str, ...] | None] = ()

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        gr_w_first: float,
        gr_w_last: float,
        gr_b_first: float,
        gr_b_last: float,
        gr_mu_first: float,
        gr_mu_last: float,
        gr_sigma_first: float,
        gr_sigma_last: float,
        gr_q2: float,
        gr_q3: float,
    ) -> None:
        """Take first and last values of w, b, mu and sigma (positive), and exponents q2 in [0, 1] and q3 in [0, 2]."""
        super().__init__(labels_NC)
        self.w = Course(first=gr_w_first, last=gr_w_last)
        self.b = Course(first=gr_b_first, last=gr_b_last)
        self.mu = Course(first=gr_mu_first, last=gr_mu_last)
        self.sigma = Course(first=gr_sigma_first, last=gr_sigma_last)
        self.q2 = gr_q2
        self.q3 = gr_q3

    def forward(self, batch: Batch) -> Outcome:
        """The loss; nothing is distrusted, no state."""
        unobserved_BC = self._unobserved(precise(batch.logits_BC), batch.epoch, batch.epochs)
        losses_BC = observed_cross_entropy(batch.logits_BC, batch.labels_BC) + unobserved_BC.masked_fill(
            batch.labels_BC != UNOBSERVED, 0
        )
        return Outcome(loss=batch.mean(losses_BC))

    def _unobserved(self, logits_BC: Tensor, epoch: int, epochs: int) -> Tensor:
        p_BC = probability(logits_BC.detach())
        passed = (epoch - 1) / epochs
        positive_share_BC = probability(self.w.at(passed) * p_BC + self.b.at(passed))
        positive_BC = generalized_cross_entropy(F.logsigmoid(logits_BC), self.q2)
        negative_BC = generalized_cross_entropy(F.logsigmoid(-logits_BC), self.q3)
        return self._weight(p_BC, epoch, epochs) * (
            positive_share_BC * positive_BC + (1 - positive_share_BC) * negative_BC
        )

    def _weight(self, p_BC: Tensor, epoch: int, epochs: int) -> Tensor:
        """V."""
        share = epoch / epochs
        return torch.exp(-(((p_BC - self.mu.at(share)) / self.sigma.at(share)) ** 2) / 2)
