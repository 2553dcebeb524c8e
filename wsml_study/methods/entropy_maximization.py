"""EM: keeps predictions of unobserved labels uncertain. APL: makes the least likely of them soft negatives.

Source: Zhou, Chen, Wang, Chen, Heng, "Acknowledging the Unknown for Multi-label Learning with Single Positive Labels",
ECCV 2022; Correr-Zhou/SPML-AckTheUnknown.

Shapes: B images of this rank's share of the batch, C classes, N training images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.baselines import observed_cross_entropy, precise, probability, soft_cross_entropy
from wsml_study.methods.contract import UNOBSERVED, Batch, Method, Outcome
from wsml_study.methods.schedules import exact_rate

UNLABELLED = -1.0
"""Marks entries without a soft label."""


def entropy(logits_BC: Tensor) -> Tensor:
    """-p ln p - (1 - p) ln(1 - p) per entry, in nats, with its gradient through both factors."""
    precise_BC = precise(logits_BC)
    positive_BC = probability(precise_BC) * F.logsigmoid(precise_BC)
    return -positive_BC - probability(-precise_BC) * F.logsigmoid(-precise_BC)


class EntropyMaximization(Method):
    """EM: observed cross-entropy; unobserved -alpha * entropy(p); mean over all B * C entries.

    At alpha 0 this is IU. Observed negatives, which the source's setting lacks, count as in IU.
    """

    stacked_numbers: ClassVar[tuple[str, ...] | None] = ("entropy_weight",)

    def __init__(self, labels_NC: Tensor, *, entropy_weight: float) -> None:
        """Weigh the entropy by alpha, at least 0."""
        super().__init__(labels_NC)
        self.entropy_weight = entropy_weight

    def forward(self, batch: Batch) -> Outcome:
        """The loss; nothing is distrusted, no state."""
        return Outcome(loss=batch.mean(self._losses(batch)))

    def _losses(self, batch: Batch) -> Tensor:
        unknown_BC = (-self.entropy_weight * entropy(batch.logits_BC)).masked_fill(batch.labels_BC != UNOBSERVED, 0)
        return observed_cross_entropy(batch.logits_BC, batch.labels_BC) + unknown_BC


class AsymmetricPseudoLabels(EntropyMaximization):
    """EM+APL: as EM, but the unobserved labels of least p become soft negatives, permanently.

    After each epoch from w on, in each class, the floor(share * U_c / (T - w)) unobserved entries of least p that have
    no soft label yet get one: s, their p at that moment. From then on their loss is
    beta * (-s ln p - (1 - s) ln(1 - p)). U_c counts the class's unobserved training labels, T the epochs.

    Unlike the source: p comes from unmirrored images unless `pseudo_label_mirroring` is set; counts come from exact
    arithmetic; equal p are taken in the order of the images; nothing is labelled after the last epoch, since no
    training follows it.

    Attributes:
        soft_NC: float32, soft labels of the training images, -1 where there is none; equal on every rank.
    """

    stacked_numbers = ("entropy_weight", "pseudo_label_weight", "pseudo_label_share", "warmup_epochs")

    soft_NC: Tensor
    unobserved_NC: Tensor

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        entropy_weight: float,
        pseudo_label_weight: float,
        pseudo_label_share: float,
        warmup_epochs: int,
        pseudo_label_mirroring: bool = False,
    ) -> None:
        """Take the options.

        Args:
            labels_NC: observed states of all training images.
            entropy_weight: alpha, at least 0.
            pseudo_label_weight: beta, at least 0.
            pseudo_label_share: share of the unobserved labels that have a soft label in the end, in [0, 1].
            warmup_epochs: w, the first epoch after which labels become soft negatives.
            pseudo_label_mirroring: take p of half of the images from the mirrored image, as the source does, which
                labels in a pass over the augmented training images.
        """
        super().__init__(labels_NC, entropy_weight=entropy_weight)
        self.pseudo_label_weight = pseudo_label_weight
        self.pseudo_label_share = exact_rate(pseudo_label_share)
        self.warmup_epochs = warmup_epochs
        self.predicts_mirrored = pseudo_label_mirroring
        self.register_buffer("soft_NC", torch.full(labels_NC.shape, UNLABELLED))
        self.register_buffer("unobserved_NC", labels_NC == UNOBSERVED, persistent=False)

    def forward(self, batch: Batch) -> Outcome:
        """The loss under the current soft labels, which do not change within an epoch."""
        soft_BC = self.soft_NC[batch.rows_B]
        labelled_BC = (soft_BC != UNLABELLED) & (batch.labels_BC == UNOBSERVED)
        soft_losses_BC = self.pseudo_label_weight * soft_cross_entropy(batch.logits_BC, soft_BC)
        return Outcome(loss=batch.mean(torch.where(labelled_BC, soft_losses_BC, self._losses(batch))))

    @torch.no_grad()
    def finish_epoch(self, epoch: int, epochs: int, predict: Callable[[], Tensor]) -> None:
        """Give the least likely entries of each class a soft label."""
        if not self.warmup_epochs <= epoch < epochs:
            return
        logits_NC = precise(predict())
        rate = self.pseudo_label_share / (epochs - self.warmup_epochs)
        counts_C = [math.floor(rate * num_unobserved) for num_unobserved in self.unobserved_NC.sum(0).tolist()]
        candidates_NC = self.unobserved_NC & (self.soft_NC == UNLABELLED)
        ranks_NC = logits_NC.masked_fill(~candidates_NC, math.inf).argsort(stable=True, dim=0).argsort(dim=0)
        chosen_NC = candidates_NC & (ranks_NC < torch.tensor(counts_C, device=ranks_NC.device))
        self.soft_NC.copy_(torch.where(chosen_NC, probability(logits_NC), self.soft_NC))
