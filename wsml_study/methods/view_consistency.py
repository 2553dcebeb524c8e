"""PLC: what the classifier is sure of in an image is the target of a more strongly changed view of it.

Shapes: B images of this rank's share of the batch, C classes.
"""

from __future__ import annotations

from torch import Tensor

from wsml_study.methods.baselines import assume_negative, cross_entropy, precise, probability
from wsml_study.methods.contract import PADDING, POSITIVE, UNOBSERVED, Batch, Method, Outcome


class ViewConsistency(Method):
    """PLC, the first stage of LAGC: AN on an image, plus lambda times the mean cross-entropy of its strong view.

    The target of a label in the strong view is the observed one, and of an unobserved label 1 if p >= theta in the
    image as it is, 0 if p < 1 - theta; all other labels are left out of that mean. No gradient flows through a target.

    The source's second stage adds a contrast of embeddings that its network, a transformer over class queries, has per
    class; that is not here. Observed negatives, which its setting lacks, are sure to be negative.

    Source: Xie, Xiao, Huang, "Label-Aware Global Consistency for Multi-Label Learning with Single Positive Labels",
    NeurIPS 2022; xiemk/SPML-LAC.
    """

    def __init__(self, labels_NC: Tensor, *, consistency_weight: float, consistency_threshold: float) -> None:
        """Take the options.

        Args:
            labels_NC: observed states of all training images.
            consistency_weight: lambda, at least 0; 0 gives AN.
            consistency_threshold: theta, in [0.5, 1].
        """
        super().__init__(labels_NC)
        self.consistency_weight = consistency_weight
        self.consistency_threshold = consistency_threshold

    def forward(self, batch: Batch) -> Outcome:
        """The loss, and the unobserved labels that are positive in the strong view; no state."""
        p_BC = probability(precise(batch.logits_BC.detach()))
        unobserved_BC = batch.labels_BC == UNOBSERVED
        likely_BC = unobserved_BC & (p_BC >= self.consistency_threshold)
        unsure_BC = unobserved_BC & ~likely_BC & (p_BC >= 1 - self.consistency_threshold)
        left_out_BC = unsure_BC | (batch.labels_BC == PADDING)
        strong_BC = cross_entropy(batch.views["strong"], likely_BC | (batch.labels_BC == POSITIVE))
        num_sure = batch.peers.sum((~left_out_BC).sum().to(p_BC.dtype)).clamp(min=1)
        consistency = batch.total(strong_BC.masked_fill(left_out_BC, 0)) / num_sure
        assumed = batch.mean(assume_negative(batch.logits_BC, batch.labels_BC))
        return Outcome(loss=assumed + self.consistency_weight * consistency, distrusted_BC=likely_BC)
