"""MIME: after each epoch, unobserved labels with p above a threshold become positives, and stay so.

Shapes: B images of this rank's share of the batch, C classes, N training images.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wsml_study.methods.baselines import assume_negative, precise, probability
from wsml_study.methods.contract import POSITIVE, UNOBSERVED, Batch, Method, Outcome


class LabelEnhancement(Method):
    """MIME: as AN, but after epoch w and every later one, unobserved labels with p > theta become positives.

    They stay positives until the end of training.

    Mean over all B * C entries. The source's network has one more part, which is not here: in front of the last layer
    it draws features at random, class by class, from normal distributions that a transformer over class queries gives,
    and adds 1e-4 times their divergence from standard normal ones to the loss.

    Unlike the source, p comes from unmirrored images, and no label is taken after the last epoch, since no training
    follows it. Observed negatives, which the source's setting lacks, stay negative.

    Source: Liu, Xu, Lv, Geng, "Revisiting Pseudo-Label for Single-Positive Multi-Label Learning", ICML 2023;
    palm-biaoliu/mime.

    Attributes:
        enhanced_NC: bool, the labels that have become positives; equal on every rank.
    """

    stacked_numbers = ("positive_threshold", "warmup_epochs")

    enhanced_NC: Tensor
    unobserved_NC: Tensor

    def __init__(self, labels_NC: Tensor, *, positive_threshold: float, warmup_epochs: int) -> None:
        """Start with the observed labels alone.

        Args:
            labels_NC: observed states of all training images.
            positive_threshold: theta, in [0, 1].
            warmup_epochs: w, the first epoch after which labels become positives.
        """
        super().__init__(labels_NC)
        self.positive_threshold = positive_threshold
        self.warmup_epochs = warmup_epochs
        self.register_buffer("enhanced_NC", torch.zeros(labels_NC.shape, dtype=torch.bool))
        self.register_buffer("unobserved_NC", labels_NC == UNOBSERVED, persistent=False)

    def forward(self, batch: Batch) -> Outcome:
        """The loss under the current labels, which do not change within an epoch."""
        enhanced_BC = self.enhanced_NC[batch.rows_B] & (batch.labels_BC == UNOBSERVED)
        losses_BC = assume_negative(batch.logits_BC, batch.labels_BC.masked_fill(enhanced_BC, POSITIVE))
        return Outcome(loss=batch.mean(losses_BC), distrusted_BC=enhanced_BC)

    @torch.no_grad()
    def finish_epoch(self, epoch: int, epochs: int, predict: Callable[[], Tensor]) -> None:
        """Make the likely labels positives."""
        if self.warmup_epochs <= epoch < epochs:
            likely_NC = probability(precise(predict())) > self.positive_threshold
            self.enhanced_NC |= likely_NC & self.unobserved_NC

    def corrected_labels(self) -> Tensor:
        """The labels that have become positives."""
        return self.enhanced_NC
