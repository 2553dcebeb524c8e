"""CRISP: a risk of observed positives and of the classes' priors, which are estimated anew after each epoch.

Shapes: B images of this rank's share of the batch, C classes, N training images.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from wsml_study.methods.baselines import assume_negative, precise, probability
from wsml_study.methods.contract import PADDING, POSITIVE, Batch, Method, Outcome
from wsml_study.methods.reduction import Reduction

UNKNOWN = -1.0
"""Prior of a class before the first estimate."""


def class_priors(scores_NC: Tensor, positive_NC: Tensor, *, confidence: float, tolerance: float) -> Tensor:
    """How common each class is, from scores of all images and of those that are known to show it.

    q(z) is the fraction of all images that score at least z, qp(z) that of the observed positives. The prior is q / qp
    at the z among the scores that minimizes q / qp + (1 + tau) / qp * (sqrt(ln(4 / delta) / 2n) + sqrt(ln(4 / delta) /
    2n_j)), for n images and n_j observed positives; of several such z at the largest.

    >>> scores = torch.tensor([[9.0], [8.0], [7.0], [1.0], [0.0]])
    >>> class_priors(scores, scores == 8, confidence=0.01, tolerance=0.01)
    tensor([0.4000], dtype=torch.float64)

    Args:
        scores_NC: of all training images; only their order within a class matters.
        positive_NC: bool, the observed positives.
        confidence: delta, in (0, 1).
        tolerance: tau, at least 0.

    Returns:
        (C,) in float64, from 0 to 1; 0 for a class without observed positives.

    Source: Liu, Xu, Wang, Geng, "Can Class-Priors Help Single-Positive Multi-Label Learning?", NeurIPS 2025, theorem
    4.1 and appendix A.2.
    """
    num_images = len(scores_NC)
    sorted_NC, order_NC = scores_NC.sort(dim=0, descending=True)
    above_NC = positive_NC.gather(0, order_NC).cumsum(0).double()
    num_positives_C = above_NC[-1]
    positive_share_NC = above_NC / num_positives_C.clamp(min=1)
    share_N1 = torch.arange(1, num_images + 1, device=scores_NC.device, dtype=torch.float64)[:, None] / num_images
    ratio_NC = share_N1 / positive_share_NC
    noise_C = math.sqrt(math.log(4 / confidence) / 2) * (num_images**-0.5 + num_positives_C.clamp(min=1) ** -0.5)
    bound_NC = ratio_NC + (1 + tolerance) / positive_share_NC * noise_C
    # "At least z" takes in every image of the same score: only the last of equal scores has the right counts.
    last_NC = torch.ones_like(positive_NC)
    last_NC[:-1] = sorted_NC[:-1] != sorted_NC[1:]
    best_1C = bound_NC.masked_fill(~last_NC | (above_NC == 0), math.inf).argmin(0, keepdim=True)
    return ratio_NC.gather(0, best_1C)[0].masked_fill(num_positives_C == 0, 0)


class ClassPriorRisk(Method):
    """CRISP: AN at first; then 2 pi_j * mean over observed positives of (1 - p_j) + |mean over images of p_j - pi_j|.

    That is summed over the classes j, and is equation 7 of the source: the risk under the absolute loss of full labels,
    rewritten so that it needs no negatives. Priors pi_j are those of `class_priors`, estimated after each epoch from
    the w-th on; before, the loss is AN, summed over the classes.

    On a batch, the mean over all observed positives is estimated by (N / n_j) times their sum over the batch divided by
    its images: every positive counts equally, whichever batch it is in. The source does not say how it
    goes about this, nor how long it starts with AN, and has no public code. Its equation 8 changes the risk once more
    for rare classes, by a term in the logits with a weight that it does not publish; that is not here. Observed
    negatives, which the source's setting lacks, count as any image does. A class without observed positives has prior
    0.

    Attributes:
        prior_C: float32, priors of the classes, -1 before the first estimate; equal on every rank.
    """

    stacked_numbers = ("prior_confidence", "prior_tolerance", "warmup_epochs")

    prior_C: Tensor
    images_per_positive_C: Tensor
    positive_NC: Tensor

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        warmup_epochs: int,
        prior_confidence: float,
        prior_tolerance: float,
        reduction: str,
    ) -> None:
        """Take the options.

        Args:
            labels_NC: observed states of all training images.
            warmup_epochs: w, epochs of AN before the priors are estimated; 0 counts as 1.
            prior_confidence: delta, in (0, 1).
            prior_tolerance: tau, at least 0.
            reduction: `sum` or `mean` over the classes.
        """
        super().__init__(labels_NC)
        self.warmup_epochs = warmup_epochs
        self.prior_confidence = prior_confidence
        self.prior_tolerance = prior_tolerance
        self.reduction = Reduction(reduction)
        positive_NC = labels_NC == POSITIVE
        num_positives_C = positive_NC.sum(0)
        rarity_C = torch.where(num_positives_C > 0, len(labels_NC) / num_positives_C.clamp(min=1), 0)
        self.register_buffer("prior_C", torch.full((labels_NC.shape[1],), UNKNOWN))
        self.register_buffer("images_per_positive_C", rarity_C, persistent=False)
        self.register_buffer("positive_NC", positive_NC, persistent=False)

    def forward(self, batch: Batch) -> Outcome:
        """The loss under the current priors; nothing is distrusted."""
        losses_1C = torch.where(self.prior_C == UNKNOWN, self._assumed_negative(batch), self._risk(batch))
        summed = losses_1C.sum((-2, -1))
        return Outcome(loss=summed if self.reduction is Reduction.SUM else summed / batch.logits_BC.shape[-1])

    @torch.no_grad()
    def finish_epoch(self, epoch: int, epochs: int, predict: Callable[[], Tensor]) -> None:
        """Estimate the priors."""
        if self.warmup_epochs <= epoch < epochs:
            priors_C = class_priors(
                precise(predict()),
                self.positive_NC,
                confidence=self.prior_confidence,
                tolerance=self.prior_tolerance,
            )
            self.prior_C.copy_(priors_C)

    def _assumed_negative(self, batch: Batch) -> Tensor:
        """This rank's share of AN's mean over the images, of each class, (1, C)."""
        losses_BC = assume_negative(batch.logits_BC, batch.labels_BC)
        return losses_BC.sum(-2, keepdim=True) * (batch.peers.size / batch.num_images)

    def _risk(self, batch: Batch) -> Tensor:
        """This rank's share of the risk of each class, (1, C)."""
        logits_BC = precise(batch.logits_BC)
        missed_BC = probability(-logits_BC).masked_fill(batch.labels_BC != POSITIVE, 0)
        p_BC = probability(logits_BC).masked_fill(batch.labels_BC == PADDING, 0)
        missed_1C = self.images_per_positive_C * missed_BC.sum(-2, keepdim=True) / batch.num_images
        mean_p_1C = batch.peers.sum(p_BC.sum(-2, keepdim=True)) / batch.num_images
        return 2 * self.prior_C * missed_1C * batch.peers.size + (mean_p_1C - self.prior_C).abs()
