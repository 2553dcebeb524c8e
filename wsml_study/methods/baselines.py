"""Baselines: AN, WAN, LSAN, IU, and the cross-entropies that all methods are made of.

p = sigmoid(logit). Logarithms are computed from the logits, not from p, so nothing needs clamping and nothing
saturates. The public code of Cole et al. (elijahcole/single-positive-multi-label) computes -ln(p + 1e-5) instead, which
differs by at most 1e-5 / p.

Shapes: B images of this rank's share of the batch, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.contract import NEGATIVE, PADDING, POSITIVE, UNOBSERVED, Batch, Method, Outcome


def precise(logits: Tensor) -> Tensor:
    """The logits in float32 at least, whatever the precision that they came in."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def probability(logits: Tensor) -> Tensor:
    """p = sigmoid(logit), equal to the last bit wherever a logit lies in a tensor.

    `torch.sigmoid` on CPUs gives the last entries of a tensor by another formula than those before: a trial's numbers
    would depend on which trials are stacked beside it.
    """
    return torch.exp(F.logsigmoid(logits))


def cross_entropy(logits_BC: Tensor, positive_BC: Tensor) -> Tensor:
    """Binary cross-entropy per entry: -ln p where positive, -ln(1 - p) elsewhere.

    Computed in float32 at least, and finite for every finite logit.
    """
    precise_BC = precise(logits_BC)
    return -F.logsigmoid(torch.where(positive_BC, precise_BC, -precise_BC))


def soft_cross_entropy(logits_BC: Tensor, target_BC: Tensor) -> Tensor:
    """Binary cross-entropy per entry against a target t in [0, 1]: -t ln p - (1 - t) ln(1 - p)."""
    precise_BC = precise(logits_BC)
    return -target_BC * F.logsigmoid(precise_BC) - (1 - target_BC) * F.logsigmoid(-precise_BC)


def assume_negative(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """Cross-entropy per entry with unobserved labels taken as negative; 0 in padding."""
    return cross_entropy(logits_BC, labels_BC == POSITIVE).masked_fill(labels_BC == PADDING, 0)


def observed_cross_entropy(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """Cross-entropy per observed entry; 0 where unobserved and in padding."""
    observed_BC = (labels_BC == POSITIVE) | (labels_BC == NEGATIVE)
    return cross_entropy(logits_BC, labels_BC == POSITIVE).masked_fill(~observed_BC, 0)


class AssumeNegative(Method):
    """AN: unobserved labels count as negative; mean over all B * C entries.

    On complete labels, where nothing is unobserved, this is `full`: the upper bound that sees every true label.
    Source: Cole et al., "Multi-Label Learning from Single Positive Labels", CVPR 2021.
    """

    stacked_numbers = ()

    def forward(self, batch: Batch) -> Outcome:
        """The mean cross-entropy; nothing is distrusted, no state."""
        return Outcome(loss=batch.mean(assume_negative(batch.logits_BC, batch.labels_BC)))


class WeakAssumeNegative(Method):
    """WAN: as AN, but an assumed negative weighs g: -g ln(1 - p); mean over all B * C entries.

    With the source's g = 1 / (C - 1) one positive weighs as much as all assumed negatives of its image. Observed
    negatives, which the source's setting lacks, weigh 1.
    Source: Cole et al., CVPR 2021; elijahcole/single-positive-multi-label.
    """

    stacked_numbers = ("negative_weight",)

    def __init__(self, labels_NC: Tensor, *, negative_weight: float | None) -> None:
        """Take the weight of assumed negatives.

        Args:
            labels_NC: observed states of all training images.
            negative_weight: g, at least 0; None stands for 1 / (C - 1).
        """
        super().__init__(labels_NC)
        self.negative_weight = 1 / max(1, labels_NC.shape[1] - 1) if negative_weight is None else negative_weight

    def forward(self, batch: Batch) -> Outcome:
        """The mean weighted cross-entropy; nothing is distrusted, no state."""
        losses_BC = assume_negative(batch.logits_BC, batch.labels_BC)
        weighted_BC = torch.where(batch.labels_BC == UNOBSERVED, losses_BC * self.negative_weight, losses_BC)
        return Outcome(loss=batch.mean(weighted_BC))


class LabelSmoothing(Method):
    """LSAN: AN against smoothed targets, 1 - e for a positive and e for anything else; mean over all B * C entries.

    Source: Cole et al., CVPR 2021; elijahcole/single-positive-multi-label smooths positives and negatives alike.
    """

    stacked_numbers = ("smoothing",)

    def __init__(self, labels_NC: Tensor, *, smoothing: float) -> None:
        """Smooth targets by e, in [0, 0.5]; 0 gives AN."""
        super().__init__(labels_NC)
        self.smoothing = smoothing

    def forward(self, batch: Batch) -> Outcome:
        """The mean smoothed cross-entropy; nothing is distrusted, no state."""
        positive_BC = batch.labels_BC == POSITIVE
        kept_BC = (1 - self.smoothing) * cross_entropy(batch.logits_BC, positive_BC)
        turned_BC = self.smoothing * cross_entropy(batch.logits_BC, ~positive_BC)
        return Outcome(loss=batch.mean((kept_BC + turned_BC).masked_fill(batch.labels_BC == PADDING, 0)))


class IgnoreUnobserved(Method):
    """IU: cross-entropy of the observed entries; the mean still divides by all B * C entries.

    Source: Cole et al., CVPR 2021; elijahcole/single-positive-multi-label.
    """

    stacked_numbers = ()

    def __init__(self, labels_NC: Tensor) -> None:
        """Refuse labels without any observed negative, from which IU learns that everything is positive.

        Raises:
            ValueError: no observed negative.
        """
        super().__init__(labels_NC)
        if not (labels_NC == NEGATIVE).any():
            raise ValueError(
                "IU learns from observed labels only and, without observed negatives, that everything is positive: it "
                "needs observed negatives, and there are none; set data.observe.negatives to 1 or more"
            )

    def forward(self, batch: Batch) -> Outcome:
        """The mean cross-entropy; nothing is distrusted, no state."""
        return Outcome(loss=batch.mean(observed_cross_entropy(batch.logits_BC, batch.labels_BC)))
