"""VLPL and GPR: unobserved labels get pseudo-labels from given scores, such as those of a vision-language model.

Shapes: B images of this rank's share of the batch, C classes, N training images.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.baselines import observed_cross_entropy, precise, probability, soft_cross_entropy
from wsml_study.methods.contract import NEGATIVE, POSITIVE, UNOBSERVED, Batch, Outcome
from wsml_study.methods.entropy_maximization import EntropyMaximization
from wsml_study.methods.expected_positives import expected_positive_penalty
from wsml_study.methods.generalized_robust import GeneralizedRobust

SOFTNESS = 0.9
"""Target of a positive pseudo-label of VLPL."""


def checked_scores(scores_NC: Tensor, labels_NC: Tensor) -> Tensor:
    """The scores as they are.

    Raises:
        ValueError: they are not of the labels' shape, or leave [0, 1].
    """
    if scores_NC.shape != labels_NC.shape:
        raise ValueError(f"expected scores of shape {tuple(labels_NC.shape)}, got {tuple(scores_NC.shape)}")
    if not ((scores_NC >= 0) & (scores_NC <= 1)).all():
        raise ValueError("expected scores from 0 to 1")
    return scores_NC


def given_states(scores_NC: Tensor, *, threshold: float, most_per_image: int, negative_share: float) -> Tensor:
    """int8 (N, C): +1, -1 or 0, what scores say of an image's classes, observed or not.

    +1 are the `most_per_image` classes of largest score, as far as these reach the threshold. -1 are the
    floor(`negative_share` * C) of least score; a class that is both is -1. Equal scores count in the order of the
    classes.

    >>> given_states(
    ...     torch.tensor([[0.9, 0.6, 0.7, 0.1]]), threshold=0.6, most_per_image=2, negative_share=0.25
    ... ).tolist()
    [[1, 0, 1, -1]]
    """
    num_classes = scores_NC.shape[1]
    from_top_NC = scores_NC.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    from_bottom_NC = scores_NC.argsort(dim=1, stable=True).argsort(dim=1)
    states_NC = ((from_top_NC < most_per_image) & (scores_NC >= threshold)).to(torch.int8)
    return states_NC.masked_fill(from_bottom_NC < math.floor(negative_share * num_classes), NEGATIVE)


class VisionLanguagePseudoLabels(EntropyMaximization):
    """VLPL: as EM, but an unobserved label whose given score exceeds a threshold is a soft positive.

    Its loss is beta * (-.9 ln p - .1 ln(1 - p)). The source makes no negatives, by its default.
    Source: Xing, Xiong, Stylianou, Sastry, Gong, Jacobs, "Vision-Language Pseudo-Labels for Single-Positive Multi-Label
    Learning", CVPR 2024 workshop LIMIT; mvrl/VLPL, which computes the scores in each step: the softmax over the classes
    of the cosine similarities of image and class name, divided by .01.

    Attributes:
        given_NC: int8, +1 where the score exceeds the threshold.
    """

    stacked_numbers: ClassVar[tuple[str, ...] | None] = ("entropy_weight", "given_positive_weight", "score_threshold")

    given_NC: Tensor

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        scores_NC: Tensor,
        entropy_weight: float,
        given_positive_weight: float,
        score_threshold: float,
    ) -> None:
        """Take the scores and the options.

        Args:
            labels_NC: observed states of all training images.
            scores_NC: their scores, in [0, 1].
            entropy_weight: alpha, at least 0.
            given_positive_weight: beta, at least 0.
            score_threshold: a label with a larger score is positive.

        Raises:
            ValueError: the scores do not fit.
        """
        super().__init__(labels_NC, entropy_weight=entropy_weight)
        self.given_positive_weight = given_positive_weight
        self.score_threshold = score_threshold
        given_NC = (checked_scores(scores_NC, labels_NC) > score_threshold).to(torch.int8)
        self.register_buffer("given_NC", given_NC, persistent=False)

    def forward(self, batch: Batch) -> Outcome:
        """The loss and the labels that the scores make positive; no state."""
        positive_BC = (batch.labels_BC == UNOBSERVED) & (self.given_NC[batch.rows_B] == POSITIVE)
        target_BC = torch.full_like(precise(batch.logits_BC), SOFTNESS)
        given_BC = self.given_positive_weight * soft_cross_entropy(batch.logits_BC, target_BC)
        losses_BC = torch.where(positive_BC, given_BC, self._losses(batch))
        return Outcome(loss=batch.mean(losses_BC), distrusted_BC=positive_BC)


class GeneralizedPseudoLabels(GeneralizedRobust):
    """GPR: as GR on what given scores leave open; their positives and negatives are weighed by GR's V; plus EPR's term.

    A given positive costs (1 - V') * (-rho ln p - (1 - rho) ln(1 - p)), V' being V clipped to [1 - l1, 1 - l2]; a given
    negative costs -V ln(1 - p). No gradient flows through V. To the mean over all B * C entries, EPR's penalty is added
    with a weight. What is given is as `given_states` says.

    Source: Tran, Vo, Nguyen, Dinh, Nguyen, "More Reliable Pseudo-labels, Better Performance: A Generalized Approach to
    Single Positive Multi-label Learning", ICCV 2025; Fsoft-AIC/AEVLP. That code computes scores in each step, from
    CLIP's of the whole image and of its parts, and in its published form turns the least likely classes not into
    negatives but leaves them open, so that `given_negative_share` is 0 by default.

    Attributes:
        given_NC: int8, +1 and -1 where the scores say so.
    """

    stacked_numbers: ClassVar[tuple[str, ...] | None] = ("given_softness", "penalty_weight", "score_threshold")

    given_NC: Tensor

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        scores_NC: Tensor,
        expected_positives: float,
        penalty_weight: float,
        given_softness: float,
        given_least_weight: float,
        given_most_weight: float,
        score_threshold: float,
        given_per_image: int,
        given_negative_share: float,
        gr_w_first: float,
        gr_w_last: float,
        gr_b_first: float,
        gr_b_last: float,
        gr_mu_first: float,
        gr_mu_last: float,
        gr_sigma_first: float,
        gr_sigma_last: float,
        gr_q2: float,
        gr_q3: float,
    ) -> None:
        """Take the scores and the options.

        Args:
            labels_NC: observed states of all training images.
            scores_NC: their scores, in [0, 1].
            expected_positives: m of EPR.
            penalty_weight: of EPR's penalty, at least 0.
            given_softness: rho, the target of a given positive, in [0, 1].
            given_least_weight: l2, the least of 1 - V', in [0, 1].
            given_most_weight: l1, the largest of 1 - V'.
            score_threshold: of a positive's score.
            given_per_image: positives per image at most.
            given_negative_share: of the classes of an image, in [0, 1].
            gr_w_first, gr_w_last, gr_b_first, gr_b_last, gr_mu_first, gr_mu_last, gr_sigma_first, gr_sigma_last, gr_q2,
                gr_q3: as of GR.

        Raises:
            ValueError: the scores do not fit, or l2 exceeds l1.
        """
        super().__init__(
            labels_NC,
            gr_w_first=gr_w_first,
            gr_w_last=gr_w_last,
            gr_b_first=gr_b_first,
            gr_b_last=gr_b_last,
            gr_mu_first=gr_mu_first,
            gr_mu_last=gr_mu_last,
            gr_sigma_first=gr_sigma_first,
            gr_sigma_last=gr_sigma_last,
            gr_q2=gr_q2,
            gr_q3=gr_q3,
        )
        if given_least_weight > given_most_weight:
            raise ValueError(
                f"expected given_least_weight of at most given_most_weight, got {given_least_weight:g} and "
                f"{given_most_weight:g}"
            )
        self.expected_positives = expected_positives
        self.penalty_weight = penalty_weight
        self.given_softness = given_softness
        self.given_least_weight = given_least_weight
        self.given_most_weight = given_most_weight
        self.score_threshold = score_threshold
        given_NC = given_states(
            checked_scores(scores_NC, labels_NC),
            threshold=score_threshold,
            most_per_image=given_per_image,
            negative_share=given_negative_share,
        )
        self.register_buffer("given_NC", given_NC, persistent=False)

    def forward(self, batch: Batch) -> Outcome:
        """The loss and the labels that the scores make positive; no state."""
        logits_BC, unobserved_BC = precise(batch.logits_BC), batch.labels_BC == UNOBSERVED
        given_BC = self.given_NC[batch.rows_B]
        trust_BC = self._weight(probability(logits_BC.detach()), batch.epoch, batch.epochs)
        weight_BC = (1 - trust_BC).clamp(self.given_least_weight, self.given_most_weight)
        positive_BC = weight_BC * soft_cross_entropy(logits_BC, self.given_softness + torch.zeros_like(logits_BC))
        open_BC = self._unobserved(logits_BC, batch.epoch, batch.epochs)
        losses_BC = torch.where(given_BC == POSITIVE, positive_BC, open_BC)
        losses_BC = torch.where(given_BC == NEGATIVE, -trust_BC * F.logsigmoid(-logits_BC), losses_BC)
        losses_BC = losses_BC.masked_fill(~unobserved_BC, 0) + observed_cross_entropy(logits_BC, batch.labels_BC)
        penalty = expected_positive_penalty(batch, logits_BC, self.expected_positives)
        weight = self.penalty_weight
        weight = weight.flatten() if isinstance(weight, Tensor) else weight  # (K,) of stacked trials
        return Outcome(
            loss=batch.mean(losses_BC) + weight * penalty,
            distrusted_BC=unobserved_BC & (given_BC == POSITIVE),
        )
