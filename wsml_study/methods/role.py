"""ROLE: a label matrix learnt jointly with the classifier.

Shapes: B images of this rank's share of the batch, C classes, N training images.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from wsml_study.methods.baselines import observed_cross_entropy, precise, probability, soft_cross_entropy
from wsml_study.methods.contract import NEGATIVE, PADDING, POSITIVE, Batch, Method, Outcome
from wsml_study.methods.expected_positives import expected_positive_penalty

CERTAIN = math.log(0.995 / 0.005)
"""Logit of the estimate of an observed positive; negated for an observed negative."""

UNDECIDED = math.log(0.6 / 0.4)
"""Estimates of unobserved labels start with a logit uniform between minus this and this."""


class OnlineLabelEstimation(Method):
    """ROLE: half of each of these for p and for the estimate q = sigmoid(theta).

    - cross-entropy of the observed labels, mean over all B * C entries;
    - cross-entropy of p against the stopped q, and of q against the stopped p, mean over all B * C entries;
    - the expected-positive penalty of EPR.

    q of an observed label stays at 0.995 or 0.005. In the authors' code it starts there and is then learnt like others.
    Source: Cole et al., CVPR 2021; elijahcole/single-positive-multi-label.

    Attributes:
        theta_NC: the estimate of every training image's labels; equal on every rank, as its gradient is averaged.
            Entries of observed labels are never used.
    """

    stacked_numbers = ("estimate_learning_rate_multiplier",)

    def __init__(
        self, labels_NC: Tensor, *, expected_positives: float, estimate_learning_rate_multiplier: float
    ) -> None:
        """Draw the first estimate from torch's global generator, which must be seeded equally on every rank.

        Args:
            labels_NC: observed states of all training images.
            expected_positives: m, positive labels of an image on average.
            estimate_learning_rate_multiplier: theta learns at this multiple of the backbone's learning rate.
        """
        super().__init__(labels_NC)
        self.expected_positives = expected_positives
        self.estimate_learning_rate_multiplier = estimate_learning_rate_multiplier
        self.theta_NC = nn.Parameter(torch.empty(labels_NC.shape).uniform_(-UNDECIDED, UNDECIDED))

    def forward(self, batch: Batch) -> Outcome:
        """The loss; nothing is distrusted. The state changes only in the optimizer's step."""
        logits_BC = precise(batch.logits_BC)
        estimate_BC = self._estimate(batch)
        agreement_BC = soft_cross_entropy(logits_BC, probability(estimate_BC.detach())) + soft_cross_entropy(
            estimate_BC, probability(logits_BC.detach())
        )
        losses_BC = (
            observed_cross_entropy(logits_BC, batch.labels_BC)
            + observed_cross_entropy(estimate_BC, batch.labels_BC)
            + agreement_BC.masked_fill(batch.labels_BC == PADDING, 0)
        )
        penalty = expected_positive_penalty(batch, logits_BC, self.expected_positives) + expected_positive_penalty(
            batch, estimate_BC, self.expected_positives
        )
        return Outcome(loss=(batch.mean(losses_BC) + penalty) / 2)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """theta at its multiple of the learning rate; no weight decay, since theta = 0 means q = 1/2, not a prior."""
        multiplied = learning_rate * self.estimate_learning_rate_multiplier
        return [{"params": [self.theta_NC], "lr": multiplied, "weight_decay": 0.0}]

    def _estimate(self, batch: Batch) -> Tensor:
        """Logits (B, C) of q for the images of a batch."""
        theta_BC = self.theta_NC[batch.rows_B]
        theta_BC = torch.where(batch.labels_BC == POSITIVE, CERTAIN, theta_BC)
        return torch.where(batch.labels_BC == NEGATIVE, -CERTAIN, theta_BC)
