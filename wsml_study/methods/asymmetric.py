"""ASL: asymmetric loss, in which easy negatives count less than easy positives, and very easy ones not at all.

Shapes: B images of this rank's share of the batch, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.baselines import cross_entropy, precise, probability
from wsml_study.methods.contract import PADDING, POSITIVE, Batch, Method, Outcome
from wsml_study.methods.reduction import Reduction, reduced


def focused_positive(logits_BC: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^gamma ln p per entry, p = sigmoid(logit); gamma 0 is the cross-entropy of a positive."""
    precise_BC = precise(logits_BC)
    return -torch.exp(gamma * F.logsigmoid(-precise_BC)) * F.logsigmoid(precise_BC)


def focused_negative(logits_BC: Tensor, gamma: float) -> Tensor:
    """-p^gamma ln(1 - p) per entry, p = sigmoid(logit); gamma 0 is the cross-entropy of a negative."""
    return focused_positive(-logits_BC, gamma)


def shifted_negative(logits_BC: Tensor, margin: float) -> Tensor:
    """-ln(1 - pm) per entry with pm = max(p - margin, 0): a negative below the margin costs nothing.

    1 - pm = min(1 - p + margin, 1), with 1 - p from its logarithm, so that no precision is lost where it vanishes.
    """
    log_not_p_BC = F.logsigmoid(-precise(logits_BC))
    if margin == 0:
        return -log_not_p_BC
    return -torch.log(torch.exp(log_not_p_BC) + margin).clamp(max=0)


def shifted_focus(logits_BC: Tensor, margin: float, gamma: float) -> Tensor:
    """pm^gamma per entry with pm = max(p - margin, 0); 0 at or below the margin, whatever gamma is."""
    excess_BC = probability(precise(logits_BC)) - margin
    above_BC = excess_BC > 0
    # A power has no finite gradient at 0: what is not above the margin must not reach it.
    return torch.where(above_BC, torch.exp(gamma * torch.log(torch.where(above_BC, excess_BC, 1.0))), 0.0)


class AsymmetricLoss(Method):
    """ASL: positive -(1 - p)^g+ ln p, negative -pm^g- ln(1 - pm), pm = max(p - margin, 0); sum over all entries.

    Unobserved labels count as negative. With all three parameters 0 and the mean, this is AN. By default gradients flow
    through the focusing factors, as in the formula; the authors' own training script stops them there
    (`disable_torch_grad_focal_loss=True`), which `focus_gradients="stopped"` does too. The value is the same.
    Source: Ridnik, Ben-Baruch et al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021; Alibaba-MIIL/ASL.
    """

    stacked_numbers = ("gamma_positive", "gamma_negative")

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        gamma_positive: float,
        gamma_negative: float,
        probability_margin: float,
        focus_gradients: str,
        reduction: str,
    ) -> None:
        """Take the options.

        Args:
            labels_NC: observed states of all training images.
            gamma_positive: g+, at least 0.
            gamma_negative: g-, at least 0.
            probability_margin: in [0, 1).
            focus_gradients: `flow` or `stopped`.
            reduction: `sum` or `mean`.
        """
        super().__init__(labels_NC)
        self.stops_focus_gradients = focus_gradients == "stopped"
        self.gamma_positive = gamma_positive
        self.gamma_negative = gamma_negative
        self.probability_margin = probability_margin
        self.reduction = Reduction(reduction)

    def forward(self, batch: Batch) -> Outcome:
        """The loss; nothing is distrusted, and the method keeps no state."""
        losses_BC = self._stopped(batch) if self.stops_focus_gradients else self._flowing(batch)
        return Outcome(loss=reduced(batch, losses_BC.masked_fill(batch.labels_BC == PADDING, 0), self.reduction))

    def _flowing(self, batch: Batch) -> Tensor:
        positive_BC = focused_positive(batch.logits_BC, self.gamma_positive)
        return torch.where(batch.labels_BC == POSITIVE, positive_BC, self._negative(batch.logits_BC))

    def _stopped(self, batch: Batch) -> Tensor:
        positive_BC = batch.labels_BC == POSITIVE
        logits_BC = precise(batch.logits_BC)
        positive_focus_BC = torch.exp(self.gamma_positive * F.logsigmoid(-logits_BC.detach()))
        negative_focus_BC = shifted_focus(logits_BC.detach(), self.probability_margin, self.gamma_negative)
        negative_BC = negative_focus_BC * shifted_negative(logits_BC, self.probability_margin)
        return torch.where(positive_BC, positive_focus_BC * cross_entropy(logits_BC, positive_BC), negative_BC)

    def _negative(self, logits_BC: Tensor) -> Tensor:
        if self.probability_margin == 0:
            return focused_negative(logits_BC, self.gamma_negative)
        focus_BC = shifted_focus(logits_BC, self.probability_margin, self.gamma_negative)
        return focus_BC * shifted_negative(logits_BC, self.probability_margin)
