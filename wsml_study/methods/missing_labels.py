"""Hill and SPLC: two losses for missing labels.

Source of both: Zhang, Cheng, Huang et al., "Simple and Robust Loss Design for Multi-Label Learning with Missing
Labels", 2021 (arXiv 2112.07368); xinyu1205/robust-loss-mlml.

Shapes: B images of this rank's share of the batch, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wsml_study.methods.asymmetric import focused_negative, focused_positive
from wsml_study.methods.baselines import precise, probability
from wsml_study.methods.contract import PADDING, POSITIVE, UNOBSERVED, Batch, Method, Outcome
from wsml_study.methods.reduction import Reduction, reduced


class Hill(Method):
    """Hill: positive -(1 - pm)^gamma ln pm with pm = sigmoid(logit - margin), negative (lambda - p) p^2; sum.

    At lambda 1.5 the loss of a negative flattens towards p = 1, where its gradient in p vanishes: a negative with so
    large a p is likely a missing positive. Unobserved labels count as negative.
    """

    stacked_numbers = ("hill_lambda", "gamma", "logit_margin")

    def __init__(
        self, labels_NC: Tensor, *, hill_lambda: float, gamma: float, logit_margin: float, reduction: str
    ) -> None:
        """Take the options.

        Args:
            labels_NC: observed states of all training images.
            hill_lambda: lambda, at least 1, so that no loss is negative.
            gamma: focus of positives, at least 0.
            logit_margin: subtracted from a positive's logit, at least 0.
            reduction: `sum` or `mean`.
        """
        super().__init__(labels_NC)
        self.hill_lambda = hill_lambda
        self.gamma = gamma
        self.logit_margin = logit_margin
        self.reduction = Reduction(reduction)

    def forward(self, batch: Batch) -> Outcome:
        """The loss; nothing is distrusted, no state."""
        logits_BC = precise(batch.logits_BC)
        p_BC = probability(logits_BC)
        positive_BC = focused_positive(logits_BC - self.logit_margin, self.gamma)
        losses_BC = torch.where(batch.labels_BC == POSITIVE, positive_BC, (self.hill_lambda - p_BC) * p_BC**2)
        return Outcome(loss=reduced(batch, losses_BC.masked_fill(batch.labels_BC == PADDING, 0), self.reduction))


class SelfPacedCorrection(Method):
    """SPLC: focal loss that takes an unobserved label for a positive as soon as its p exceeds tau; sum.

    Positive -(1 - pm)^gamma ln pm with pm = sigmoid(logit - margin), negative -p^gamma ln(1 - p), after the warm-up
    unobserved with p > tau -(1 - p)^gamma ln p: as in the authors' code, the margin is for observed positives only.
    Observed negatives, which the source's setting lacks, are never corrected.
    """

    stacked_numbers = ("positive_threshold", "gamma", "logit_margin")

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        positive_threshold: float,
        gamma: float,
        logit_margin: float,
        warmup_epochs: int,
        reduction: str,
    ) -> None:
        """Take the options.

        Args:
            labels_NC: observed states of all training images.
            positive_threshold: tau, in [0, 1].
            gamma: focus, at least 0.
            logit_margin: subtracted from an observed positive's logit, at least 0.
            warmup_epochs: epochs at the start without corrections.
            reduction: `sum` or `mean`.
        """
        super().__init__(labels_NC)
        self.positive_threshold = positive_threshold
        self.gamma = gamma
        self.logit_margin = logit_margin
        self.warmup_epochs = warmup_epochs
        self.reduction = Reduction(reduction)

    def forward(self, batch: Batch) -> Outcome:
        """The loss and the mask of what is corrected in this step; no state."""
        logits_BC, observed_BC = precise(batch.logits_BC), batch.labels_BC == POSITIVE
        corrected_BC = self._corrected(batch, logits_BC)
        positive_BC = focused_positive(torch.where(observed_BC, logits_BC - self.logit_margin, logits_BC), self.gamma)
        negative_BC = focused_negative(logits_BC, self.gamma)
        losses_BC = torch.where(observed_BC | corrected_BC, positive_BC, negative_BC)
        losses_BC = losses_BC.masked_fill(batch.labels_BC == PADDING, 0)
        return Outcome(loss=reduced(batch, losses_BC, self.reduction), distrusted_BC=corrected_BC)

    def _corrected(self, batch: Batch, logits_BC: Tensor) -> Tensor:
        if batch.epoch <= self.warmup_epochs:
            return torch.zeros_like(batch.labels_BC, dtype=torch.bool)
        return (batch.labels_BC == UNOBSERVED) & (probability(logits_BC.detach()) > self.positive_threshold)
