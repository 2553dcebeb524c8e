"""IGNORE: an unobserved label is left out if it loses its logit where only the observed object is shown.

Shapes: B images of this rank's share of the batch, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.baselines import assume_negative, precise
from wsml_study.methods.contract import PADDING, POSITIVE, UNOBSERVED, Batch, Method, Outcome


class InformationGap(Method):
    """IGNORE: AN on a strong view of each image without what is likely a false negative, and two terms beside it.

    A label's gap is |z - z'|, z its logit in the image as it is, z' in the masked image, of which only the place of the
    observed positive is shown. From epoch w + 1 on an unobserved label is rejected if its gap exceeds the running mean
    gap of observed positives and z the running mean logit of its class. Both start at 0 and go
    m * mean + (1 - m) * (mean over the batch), before they are used. The loss is

        mean over all entries that are not rejected of AN in the strong view
        + a * mean over observed positives of -ln p
        + lambda * mean over all entries of (logit in the strong view - z)^2

    Unlike the source, a batch without observed positives leaves the running gap as it is, and losses are -ln p from
    logits, not -ln(p + 1e-5). Observed negatives, which its setting lacks, are never rejected.

    Source: Song, Kim, Lee, Lee, "IGNORE: Information Gap-based False Negative Loss Rejection for Single Positive
    Multi-Label Learning", ECCV 2024; gyeong-ryeol-song/SPML-IGNORE, as it trains a ResNet-50.

    Attributes:
        gap_1: float32 (1,), the running mean gap of observed positives; equal on every rank.
        logit_C: float32, the running mean logits of the classes; equal on every rank.
    """

    gap_1: Tensor
    logit_C: Tensor

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        warmup_epochs: int,
        gap_momentum: float,
        positive_weight: float,
        consistency_weight: float,
    ) -> None:
        """Take the options.

        Args:
            labels_NC: observed states of all training images.
            warmup_epochs: w, epochs at the start that reject nothing.
            gap_momentum: m, in [0, 1].
            positive_weight: a, at least 0.
            consistency_weight: lambda, at least 0.
        """
        super().__init__(labels_NC)
        self.warmup_epochs = warmup_epochs
        self.gap_momentum = gap_momentum
        self.positive_weight = positive_weight
        self.consistency_weight = consistency_weight
        self.register_buffer("gap_1", torch.zeros(1))
        self.register_buffer("logit_C", torch.zeros(labels_NC.shape[1]))

    def forward(self, batch: Batch) -> Outcome:
        """The loss and what is rejected; moves the running means."""
        logits_BC, strong_BC = precise(batch.logits_BC), precise(batch.views["strong"])
        positive_BC, padding_BC = batch.labels_BC == POSITIVE, batch.labels_BC == PADDING
        num_positives = batch.peers.sum(positive_BC.sum().to(logits_BC.dtype))
        gap_BC = (logits_BC - precise(batch.views["masked"])).detach().abs()
        self._move(batch, gap_BC, positive_BC, num_positives)
        rejected_BC = (batch.labels_BC == UNOBSERVED) & (gap_BC > self.gap_1) & (logits_BC.detach() > self.logit_C)
        if batch.epoch <= self.warmup_epochs:
            rejected_BC = torch.zeros_like(rejected_BC)
        num_kept = batch.peers.sum((~rejected_BC & ~padding_BC).sum().to(logits_BC.dtype))
        assumed_BC = assume_negative(batch.views["strong"], batch.labels_BC).masked_fill(rejected_BC, 0)
        positives_BC = -F.logsigmoid(logits_BC).masked_fill(~positive_BC, 0)
        apart_BC = (strong_BC - logits_BC).square().masked_fill(padding_BC, 0)
        loss = (
            batch.total(assumed_BC) / num_kept.clamp(min=1)
            + self.positive_weight * batch.total(positives_BC) / num_positives.clamp(min=1)
            + self.consistency_weight * batch.mean(apart_BC)
        )
        return Outcome(loss=loss, distrusted_BC=rejected_BC)

    @torch.no_grad()
    def _move(self, batch: Batch, gap_BC: Tensor, positive_BC: Tensor, num_positives: Tensor) -> None:
        """Move the running means towards those of the batch."""
        kept, new = self.gap_momentum, 1 - self.gap_momentum
        of_positives = batch.peers.sum(gap_BC.masked_fill(~positive_BC, 0).sum()) / num_positives.clamp(min=1)
        self.gap_1.copy_(torch.where(num_positives > 0, kept * self.gap_1 + new * of_positives, self.gap_1))
        shown_BC = precise(batch.logits_BC.detach()).masked_fill(batch.labels_BC == PADDING, 0)
        self.logit_C.copy_(kept * self.logit_C + new * batch.peers.sum(shown_BC.sum(0)) / batch.num_images)
