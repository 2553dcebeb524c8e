"""EPR: the observed labels, and a penalty on the average number of positives per image.

Shapes: B images of this rank's share of the batch, C classes.
"""

from __future__ import annotations

from torch import Tensor

from wsml_study.methods.baselines import observed_cross_entropy, precise, probability
from wsml_study.methods.contract import PADDING, Batch, Method, Outcome, sum_of_entries


def expected_positive_penalty(batch: Batch, logits_BC: Tensor, expected_positives: float) -> Tensor:
    """((mean over the global batch of the sum of p) - m)^2 / C^2.

    Args:
        batch: its labels tell padding, its peers share the global batch.
        logits_BC: of this rank's share; not necessarily the classifier's (ROLE also passes its estimate).
        expected_positives: m, positive labels of an image on average.

    Returns:
        (), or (K,) of K batches, equal on every rank. Its gradient is scaled as a loss share's: the average over ranks
        is the global one.
    """
    p_BC = probability(precise(logits_BC)).masked_fill(batch.labels_BC == PADDING, 0)
    per_image = batch.peers.sum(sum_of_entries(p_BC)) / batch.num_images
    return ((per_image - expected_positives) / logits_BC.shape[-1]) ** 2


class ExpectedPositives(Method):
    """EPR: -ln p of the positives, mean over all B * C entries, plus ((mean sum of p) - m)^2 / C^2.

    The mean sum of p is over the whole global batch, however many ranks share it. An observed negative adds its
    -ln(1 - p), as in IU; the source's setting has none.
    Source: Cole et al., CVPR 2021; elijahcole/single-positive-multi-label. m is 2.9 for COCO in the paper and, since
    July 2021, in that code.
    """

    stacked_numbers = ()

    def __init__(self, labels_NC: Tensor, *, expected_positives: float) -> None:
        """Expect m = `expected_positives` positive labels per image on average, at least 0."""
        super().__init__(labels_NC)
        self.expected_positives = expected_positives

    def forward(self, batch: Batch) -> Outcome:
        """The loss; nothing is distrusted, no state."""
        observed = batch.mean(observed_cross_entropy(batch.logits_BC, batch.labels_BC))
        return Outcome(loss=observed + expected_positive_penalty(batch, batch.logits_BC, self.expected_positives))
