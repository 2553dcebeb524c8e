"""CSL: unobserved labels that are likely positive are ignored, all others are negative.

Shapes: B images of this rank's share of the batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.asymmetric import shifted_focus, shifted_negative
from wsml_study.methods.baselines import cross_entropy, precise, probability
from wsml_study.methods.contract import NEGATIVE, PADDING, POSITIVE, UNOBSERVED, Batch, Method, Outcome
from wsml_study.methods.reduction import Reduction, reduced
from wsml_study.methods.selection import k_largest


class ClassAwareSelective(Method):
    """CSL: partial asymmetric loss in which likely positives among the unobserved weigh nothing; sum.

    Positive -(1 - p)^g+ ln p, observed negative -pm^g- ln(1 - pm), unobserved -pm^gu ln(1 - pm) with
    pm = max(p - margin, 0) and the focusing factors stopped, as in the authors' code. Ignored are, among the
    unobserved, all of a class whose prior exceeds a threshold, and the `likely_per_image * B` of largest p in the
    global batch (of equal ones the first, image by image; the source leaves their order to the sort).

    The source trains a temporary network to estimate the priors. Here they are the mean p of each class over the
    training images at the end of the first epoch, in which no class is ignored, and are not updated afterwards: an
    ignored class sees no negatives any more, so its p would confirm its prior.
    Source: Ben-Baruch, Ridnik et al., "Multi-label Classification with Partial Annotations using Class-aware Selective
    Loss", CVPR 2022; Alibaba-MIIL/PartialLabelingCSL.

    Attributes:
        prior_C: float32, mean p of each class at the end of the first epoch, 0 before; equal on every rank.
    """

    stacked_numbers = ()

    prior_C: Tensor

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        gamma_positive: float,
        gamma_negative: float,
        gamma_unobserved: float,
        probability_margin: float,
        likely_per_image: int,
        prior_threshold: float,
        reduction: str,
    ) -> None:
        """Take the options.

        Args:
            labels_NC: observed states of all training images.
            gamma_positive: g+, at least 0.
            gamma_negative: g- of observed negatives, at least 0.
            gamma_unobserved: gu, at least 0.
            probability_margin: in [0, 1).
            likely_per_image: unobserved labels per image of the global batch that are ignored, at least 0.
            prior_threshold: classes with a larger prior are ignored where unobserved, in [0, 1].
            reduction: `sum` or `mean`.
        """
        super().__init__(labels_NC)
        self.gammas = {POSITIVE: gamma_positive, NEGATIVE: gamma_negative, UNOBSERVED: gamma_unobserved}
        self.probability_margin = probability_margin
        self.likely_per_image = likely_per_image
        self.prior_threshold = prior_threshold
        self.reduction = Reduction(reduction)
        self.register_buffer("prior_C", torch.zeros(labels_NC.shape[1]))

    def forward(self, batch: Batch) -> Outcome:
        """The loss and the mask of ignored labels; the priors do not change within an epoch."""
        ignored_BC = self._ignored(batch)
        losses_BC = self._losses(batch).masked_fill(ignored_BC | (batch.labels_BC == PADDING), 0)
        return Outcome(loss=reduced(batch, losses_BC, self.reduction), distrusted_BC=ignored_BC)

    @torch.no_grad()
    def finish_epoch(self, epoch: int, epochs: int, predict: Callable[[], Tensor]) -> None:
        """Estimate the priors at the end of the first epoch."""
        if epoch == 1:
            self.prior_C.copy_(probability(precise(predict())).mean(0))

    @torch.no_grad()
    def _ignored(self, batch: Batch) -> Tensor:
        unobserved_BC = batch.labels_BC == UNOBSERVED
        candidates_BC = precise(batch.logits_BC).masked_fill(~unobserved_BC, -math.inf)
        likely_BC = k_largest(candidates_BC, self.likely_per_image * batch.num_images, batch.peers)
        return unobserved_BC & (likely_BC | (self.prior_C > self.prior_threshold))

    def _losses(self, batch: Batch) -> Tensor:
        logits_BC, positive_BC = precise(batch.logits_BC), batch.labels_BC == POSITIVE
        negative_losses_BC = shifted_negative(logits_BC, self.probability_margin)
        losses_BC = torch.where(positive_BC, cross_entropy(logits_BC, positive_BC), negative_losses_BC)
        return losses_BC * self._focus(logits_BC.detach(), batch.labels_BC)

    def _focus(self, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        focus_BC = torch.exp(self.gammas[POSITIVE] * F.logsigmoid(-logits_BC))
        for state in (NEGATIVE, UNOBSERVED):
            shifted_BC = shifted_focus(logits_BC, self.probability_margin, self.gammas[state])
            focus_BC = torch.where(labels_BC == state, shifted_BC, focus_BC)
        return focus_BC
