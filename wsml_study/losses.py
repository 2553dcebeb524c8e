"""The losses for use in a training loop of one's own: plain functions, and modules where a loss has state.

    from wsml_study import losses

    loss = losses.large_loss_rejection(logits, labels, rate=0.002)

Each is a thin interface to a method of `wsml_study.methods`, for one process: with several workers it treats each
worker's batch separately. Options have the names and general defaults of `wsml-study methods NAME`, which also shows
the papers' values for their datasets. docs/losses.md has a complete training loop.

Shapes: B images of a batch, C classes, N training images. Labels are +1 positive, -1 negative, 0 unobserved, of any
numeric dtype; logits are scores before the sigmoid; losses are (), computed in float32 at least.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from wsml_study.methods import baselines
from wsml_study.methods.asymmetric import AsymmetricLoss
from wsml_study.methods.class_prior import ClassPriorRisk
from wsml_study.methods.contract import Batch, Method
from wsml_study.methods.entropy_maximization import AsymmetricPseudoLabels, EntropyMaximization
from wsml_study.methods.expected_positives import ExpectedPositives
from wsml_study.methods.generalized_robust import GeneralizedRobust
from wsml_study.methods.given_labels import GeneralizedPseudoLabels, VisionLanguagePseudoLabels
from wsml_study.methods.information_gap import InformationGap
from wsml_study.methods.label_enhancement import LabelEnhancement
from wsml_study.methods.large_loss import PermanentCorrection, Scheme, Variant, large_loss
from wsml_study.methods.method_record import MASKED, STRONG
from wsml_study.methods.missing_labels import Hill, SelfPacedCorrection
from wsml_study.methods.role import OnlineLabelEstimation
from wsml_study.methods.schedules import Schedule, schedule
from wsml_study.methods.selective import ClassAwareSelective
from wsml_study.methods.variational import PositiveUnlabelled
from wsml_study.methods.view_consistency import ViewConsistency

__all__ = [
    "ClassAwareSelectiveLoss",
    "ClassPriorLoss",
    "GeneralizedPseudoLabelLoss",
    "InformationGapLoss",
    "LabelEnhancementLoss",
    "OnlineLabelEstimationLoss",
    "PermanentCorrectionLoss",
    "PseudoLabelLoss",
    "VisionLanguageLoss",
    "assume_negative",
    "asymmetric",
    "entropy_maximization",
    "expected_positives",
    "generalized_robust",
    "hill",
    "ignore_unobserved",
    "label_smoothing",
    "large_loss_rejection",
    "large_loss_temporary_correction",
    "positive_unlabelled",
    "schedule",
    "self_paced_correction",
    "view_consistency",
    "weak_assume_negative",
]


def assume_negative(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """AN: binary cross-entropy with unobserved labels as negatives; mean."""
    return _of(baselines.AssumeNegative(labels_BC), logits_BC, labels_BC)


def weak_assume_negative(logits_BC: Tensor, labels_BC: Tensor, *, negative_weight: float | None = None) -> Tensor:
    """WAN: AN in which unobserved labels weigh `negative_weight`, by default 1 / (C - 1); mean."""
    return _of(baselines.WeakAssumeNegative(labels_BC, negative_weight=negative_weight), logits_BC, labels_BC)


def label_smoothing(logits_BC: Tensor, labels_BC: Tensor, *, smoothing: float = 0.1) -> Tensor:
    """LSAN: AN with targets smoothed by `smoothing` in [0, 0.5]; mean."""
    return _of(baselines.LabelSmoothing(labels_BC, smoothing=smoothing), logits_BC, labels_BC)


def ignore_unobserved(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """IU: binary cross-entropy of the observed labels; the mean divides by B * C.

    Without observed negatives in the training labels it learns that everything is positive.
    """
    batch = _batch(logits_BC, labels_BC)
    return batch.mean(baselines.observed_cross_entropy(batch.logits_BC, batch.labels_BC))


def expected_positives(logits_BC: Tensor, labels_BC: Tensor, *, expected_positives: float) -> Tensor:
    """EPR: IU plus a penalty where the mean sum of p per image differs from `expected_positives`."""
    return _of(ExpectedPositives(labels_BC, expected_positives=expected_positives), logits_BC, labels_BC)


def large_loss_rejection(
    logits_BC: Tensor, labels_BC: Tensor, *, rate: float | Fraction, variant: str = "code"
) -> Tensor:
    """LL-R: AN without the largest losses among unobserved labels; mean over all B * C entries.

    Args:
        logits_BC: scores before the sigmoid.
        labels_BC: label states.
        rate: fraction in [0, 1] of the counted labels; the paper has `(epoch - 1) * r`, see `schedule`.
        variant: see `wsml_study.methods.large_loss.Variant`.
    """
    return _large_loss(logits_BC, labels_BC, Scheme.REJECTION, rate, variant)


def large_loss_temporary_correction(
    logits_BC: Tensor, labels_BC: Tensor, *, rate: float | Fraction, variant: str = "code"
) -> Tensor:
    """LL-Ct: AN with the largest losses among unobserved labels computed against a positive target; mean.

    Arguments as those of `large_loss_rejection`.
    """
    return _large_loss(logits_BC, labels_BC, Scheme.TEMPORARY_CORRECTION, rate, variant)


def view_consistency(
    logits_BC: Tensor,
    labels_BC: Tensor,
    strong_logits_BC: Tensor,
    *,
    consistency_weight: float = 1.0,
    consistency_threshold: float = 0.6,
) -> Tensor:
    """PLC, the first stage of LAGC: AN, plus the cross-entropy of a strong view against what is sure; means.

    Args:
        logits_BC: scores before the sigmoid.
        labels_BC: label states.
        strong_logits_BC: of the images changed strongly.
        consistency_weight: lambda, at least 0.
        consistency_threshold: theta, in [0.5, 1].
    """
    method = ViewConsistency(
        labels_BC, consistency_weight=consistency_weight, consistency_threshold=consistency_threshold
    )
    return _of(method, logits_BC, labels_BC, views={STRONG: strong_logits_BC})


def asymmetric(
    logits_BC: Tensor,
    labels_BC: Tensor,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    probability_margin: float = 0.05,
    focus_gradients: str = "flow",
    reduction: str = "sum",
) -> Tensor:
    """ASL, unobserved labels as negatives.

    `focus_gradients="stopped"` stops gradients at the focusing powers, as the authors' training script does.
    """
    method = AsymmetricLoss(
        labels_BC,
        gamma_positive=gamma_positive,
        gamma_negative=gamma_negative,
        probability_margin=probability_margin,
        focus_gradients=focus_gradients,
        reduction=reduction,
    )
    return _of(method, logits_BC, labels_BC)


def hill(
    logits_BC: Tensor,
    labels_BC: Tensor,
    *,
    hill_lambda: float = 1.5,
    gamma: float = 2.0,
    logit_margin: float = 1.0,
    reduction: str = "sum",
) -> Tensor:
    """Hill: the loss of an unobserved label is (lambda - p) p^2."""
    method = Hill(labels_BC, hill_lambda=hill_lambda, gamma=gamma, logit_margin=logit_margin, reduction=reduction)
    return _of(method, logits_BC, labels_BC)


def self_paced_correction(
    logits_BC: Tensor,
    labels_BC: Tensor,
    *,
    epoch: int,
    positive_threshold: float = 0.6,
    gamma: float = 2.0,
    logit_margin: float = 1.0,
    warmup_epochs: int = 1,
    reduction: str = "sum",
) -> Tensor:
    """SPLC: in epochs (from 1) after the warm-up, an unobserved label with p > `positive_threshold` is a positive."""
    method = SelfPacedCorrection(
        labels_BC,
        positive_threshold=positive_threshold,
        gamma=gamma,
        logit_margin=logit_margin,
        warmup_epochs=warmup_epochs,
        reduction=reduction,
    )
    return _of(method, logits_BC, labels_BC, epoch=epoch)


def entropy_maximization(logits_BC: Tensor, labels_BC: Tensor, *, entropy_weight: float = 0.1) -> Tensor:
    """EM: IU minus `entropy_weight` times the entropy of unobserved labels; mean."""
    return _of(EntropyMaximization(labels_BC, entropy_weight=entropy_weight), logits_BC, labels_BC)


def generalized_robust(
    logits_BC: Tensor,
    labels_BC: Tensor,
    *,
    epoch: int,
    epochs: int,
    gr_w_first: float = 0.0,
    gr_w_last: float = 2.0,
    gr_b_first: float = -2.0,
    gr_b_last: float = -2.0,
    gr_mu_first: float = 0.5,
    gr_mu_last: float = 0.8,
    gr_sigma_first: float = 2.0,
    gr_sigma_last: float = 0.5,
    gr_q2: float = 0.01,
    gr_q3: float = 1.0,
) -> Tensor:
    """GR, whose weights of an unobserved label depend on its p and on how far training has come; mean.

    Args:
        logits_BC: scores before the sigmoid.
        labels_BC: label states.
        epoch: from 1.
        epochs: length of the training.
        gr_w_first, gr_w_last, gr_b_first, gr_b_last: K = sigmoid(w p + b) over the training.
        gr_mu_first, gr_mu_last, gr_sigma_first, gr_sigma_last: V = exp(-((p - mu) / sigma)^2 / 2) over the training.
        gr_q2, gr_q3: exponents as a positive, in [0, 1], and as a negative, in [0, 2].
    """
    method = GeneralizedRobust(
        labels_BC,
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
    return _of(method, logits_BC, labels_BC, epoch=epoch, epochs=epochs)


def positive_unlabelled(
    logits_BC: Tensor,
    labels_BC: Tensor,
    *,
    pu_rebalance: float = 0.55,
    pu_temperature: float = 1.0,
    reduction: str = "sum",
) -> Tensor:
    """PU-MLC, without its mixup: the positives of each class against all images of the batch."""
    method = PositiveUnlabelled(
        labels_BC, pu_rebalance=pu_rebalance, pu_temperature=pu_temperature, reduction=reduction
    )
    return _of(method, logits_BC, labels_BC)


class PermanentCorrectionLoss(nn.Module):
    """LL-Cp: the largest losses among unobserved labels become positives, in this and all later epochs; mean.

    Attributes:
        method: holds the corrections as `corrected_NC`.
    """

    def __init__(self, labels_NC: Tensor, *, schedule: Schedule, variant: str = "code") -> None:
        """Start without corrections.

        Args:
            labels_NC: states of all training images.
            schedule: epoch -> fraction corrected in total, see `wsml_study.losses.schedule`; it must not fall.
            variant: see `wsml_study.methods.large_loss.Variant`.
        """
        super().__init__()
        self.method = PermanentCorrection(labels_NC, schedule=schedule, variant=variant)

    def forward(self, logits_BC: Tensor, labels_BC: Tensor, indices_B: Tensor, *, epoch: int) -> Tensor:
        """The loss of a batch; stores its corrections.

        Args:
            logits_BC: scores before the sigmoid.
            labels_BC: states as observed, without corrections.
            indices_B: rows of the training images.
            epoch: from 1.
        """
        return _of(self.method, logits_BC, labels_BC, indices_B, epoch=epoch)


class OnlineLabelEstimationLoss(nn.Module):
    """ROLE: learns an estimate of every training label together with the classifier; mean.

    Attributes:
        method: holds the estimate's logits as `theta_NC`, a parameter.
    """

    def __init__(
        self, labels_NC: Tensor, *, expected_positives: float, estimate_learning_rate_multiplier: float = 10.0
    ) -> None:
        """Draw the first estimate from torch's global generator.

        Args:
            labels_NC: states of all training images.
            expected_positives: positive labels of an image on average.
            estimate_learning_rate_multiplier: for `parameter_groups`.
        """
        super().__init__()
        self.method = OnlineLabelEstimation(
            labels_NC,
            expected_positives=expected_positives,
            estimate_learning_rate_multiplier=estimate_learning_rate_multiplier,
        )

    def forward(self, logits_BC: Tensor, labels_BC: Tensor, indices_B: Tensor) -> Tensor:
        """The loss of a batch, whose images are these rows of the training images."""
        return _of(self.method, logits_BC, labels_BC, indices_B)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """The estimate's group for an optimizer, at its multiple of the learning rate and without weight decay."""
        return self.method.parameter_groups(learning_rate)


class PseudoLabelLoss(nn.Module):
    """EM+APL: EM, in which the least likely unobserved labels become soft negatives epoch by epoch; mean.

    Attributes:
        method: holds the soft labels as `soft_NC`, -1 where there is none.
    """

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        entropy_weight: float = 0.1,
        pseudo_label_weight: float = 0.2,
        pseudo_label_share: float = 0.9,
        warmup_epochs: int = 5,
    ) -> None:
        """Start without soft labels.

        Args:
            labels_NC: states of all training images.
            entropy_weight: alpha, at least 0.
            pseudo_label_weight: beta, at least 0.
            pseudo_label_share: share of the unobserved labels that are soft negatives at the end.
            warmup_epochs: the first epoch after which labels become soft negatives.
        """
        super().__init__()
        self.method = AsymmetricPseudoLabels(
            labels_NC,
            entropy_weight=entropy_weight,
            pseudo_label_weight=pseudo_label_weight,
            pseudo_label_share=pseudo_label_share,
            warmup_epochs=warmup_epochs,
        )

    def forward(self, logits_BC: Tensor, labels_BC: Tensor, indices_B: Tensor) -> Tensor:
        """The loss of a batch, whose images are these rows of the training images."""
        return _of(self.method, logits_BC, labels_BC, indices_B)

    def finish_epoch(self, epoch: int, epochs: int, predict: Callable[[], Tensor]) -> None:
        """Give soft labels; call it after each epoch.

        Args:
            epoch: the epoch that ends, from 1.
            epochs: length of the training.
            predict: gives the logits (N, C) of all training images in evaluation mode; only called when needed.
        """
        self.method.finish_epoch(epoch, epochs, predict)


class InformationGapLoss(nn.Module):
    """IGNORE: AN of a strong view, without the labels that the observed object does not explain; sum of three means.

    Attributes:
        method: holds the running means `gap_1` and `logit_C`.
    """

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        warmup_epochs: int = 3,
        gap_momentum: float = 0.999,
        positive_weight: float = 0.5,
        consistency_weight: float = 0.5,
    ) -> None:
        """Start with running means of 0.

        Args:
            labels_NC: states of all training images.
            warmup_epochs: epochs at the start that reject nothing.
            gap_momentum: share of the running means that a batch leaves as it is.
            positive_weight: of the term of observed positives.
            consistency_weight: of the squared difference of the logits of both views.
        """
        super().__init__()
        self.method = InformationGap(
            labels_NC,
            warmup_epochs=warmup_epochs,
            gap_momentum=gap_momentum,
            positive_weight=positive_weight,
            consistency_weight=consistency_weight,
        )

    def forward(
        self,
        logits_BC: Tensor,
        labels_BC: Tensor,
        strong_logits_BC: Tensor,
        masked_logits_BC: Tensor,
        *,
        epoch: int,
    ) -> Tensor:
        """The loss of a batch.

        Args:
            logits_BC: scores before the sigmoid.
            labels_BC: label states.
            strong_logits_BC: of the images changed strongly.
            masked_logits_BC: of the images in which only the observed positive's place is shown; no gradient flows.
            epoch: from 1.
        """
        views = {STRONG: strong_logits_BC, MASKED: masked_logits_BC}
        return _of(self.method, logits_BC, labels_BC, epoch=epoch, views=views)


class LabelEnhancementLoss(nn.Module):
    """MIME without its network: AN, in which unobserved labels of large p become positives after each epoch; mean.

    Attributes:
        method: holds the labels that have become positives as `enhanced_NC`.
    """

    def __init__(self, labels_NC: Tensor, *, positive_threshold: float = 0.95, warmup_epochs: int = 2) -> None:
        """Start with the observed labels alone.

        Args:
            labels_NC: states of all training images.
            positive_threshold: unobserved labels with a larger p become positives.
            warmup_epochs: the first epoch after which they do.
        """
        super().__init__()
        self.method = LabelEnhancement(labels_NC, positive_threshold=positive_threshold, warmup_epochs=warmup_epochs)

    def forward(self, logits_BC: Tensor, labels_BC: Tensor, indices_B: Tensor) -> Tensor:
        """The loss of a batch, whose images are these rows of the training images."""
        return _of(self.method, logits_BC, labels_BC, indices_B)

    def finish_epoch(self, epoch: int, epochs: int, predict: Callable[[], Tensor]) -> None:
        """Make likely labels positives; call it after each epoch. Arguments as those of `PseudoLabelLoss`."""
        self.method.finish_epoch(epoch, epochs, predict)


class ClassAwareSelectiveLoss(nn.Module):
    """CSL: unobserved labels that are likely positive are ignored.

    Attributes:
        method: holds the priors of the classes as `prior_C`.
    """

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        gamma_positive: float = 0.0,
        gamma_negative: float = 1.0,
        gamma_unobserved: float = 2.0,
        probability_margin: float = 0.0,
        likely_per_image: int = 5,
        prior_threshold: float = 0.5,
        reduction: str = "sum",
    ) -> None:
        """Start with priors of 0.

        Args:
            labels_NC: states of all training images.
            gamma_positive: focus of positives, at least 0.
            gamma_negative: focus of observed negatives, at least 0.
            gamma_unobserved: focus of unobserved labels, at least 0.
            probability_margin: in [0, 1).
            likely_per_image: unobserved labels per image of a batch that are ignored.
            prior_threshold: classes with a larger prior are ignored where unobserved.
            reduction: `sum` or `mean`.
        """
        super().__init__()
        self.method = ClassAwareSelective(
            labels_NC,
            gamma_positive=gamma_positive,
            gamma_negative=gamma_negative,
            gamma_unobserved=gamma_unobserved,
            probability_margin=probability_margin,
            likely_per_image=likely_per_image,
            prior_threshold=prior_threshold,
            reduction=reduction,
        )

    def forward(self, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """The loss of a batch."""
        return _of(self.method, logits_BC, labels_BC)

    def finish_epoch(self, epoch: int, epochs: int, predict: Callable[[], Tensor]) -> None:
        """Estimate the priors after the first epoch; arguments as those of `PseudoLabelLoss.finish_epoch`."""
        self.method.finish_epoch(epoch, epochs, predict)


class ClassPriorLoss(nn.Module):
    """CRISP: how common a class is, estimated after each epoch, stands in for its negatives.

    Attributes:
        method: holds the priors of the classes as `prior_C`, -1 before the first estimate.
    """

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        warmup_epochs: int = 1,
        prior_confidence: float = 0.01,
        prior_tolerance: float = 0.01,
        reduction: str = "sum",
    ) -> None:
        """Start without priors.

        Args:
            labels_NC: states of all training images.
            warmup_epochs: epochs of AN before the first estimate.
            prior_confidence: delta of the bound, in (0, 1).
            prior_tolerance: tau of the bound, at least 0.
            reduction: `sum` or `mean` over the classes.
        """
        super().__init__()
        self.method = ClassPriorRisk(
            labels_NC,
            warmup_epochs=warmup_epochs,
            prior_confidence=prior_confidence,
            prior_tolerance=prior_tolerance,
            reduction=reduction,
        )

    def forward(self, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """The loss of a batch."""
        return _of(self.method, logits_BC, labels_BC)

    def finish_epoch(self, epoch: int, epochs: int, predict: Callable[[], Tensor]) -> None:
        """Estimate the priors; call it after each epoch, with arguments as those of `PseudoLabelLoss.finish_epoch`."""
        self.method.finish_epoch(epoch, epochs, predict)


class VisionLanguageLoss(nn.Module):
    """VLPL: EM, in which unobserved labels of high given score are soft positives; mean.

    Attributes:
        method: holds what the scores give as `given_NC`.
    """

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        scores_NC: Tensor,
        entropy_weight: float = 0.1,
        given_positive_weight: float = 0.7,
        score_threshold: float = 0.3,
    ) -> None:
        """Take the scores.

        Args:
            labels_NC: states of all training images.
            scores_NC: their scores by class, in [0, 1].
            entropy_weight: alpha, at least 0.
            given_positive_weight: beta, at least 0.
            score_threshold: larger scores are soft positives.
        """
        super().__init__()
        self.method = VisionLanguagePseudoLabels(
            labels_NC,
            scores_NC=scores_NC,
            entropy_weight=entropy_weight,
            given_positive_weight=given_positive_weight,
            score_threshold=score_threshold,
        )

    def forward(self, logits_BC: Tensor, labels_BC: Tensor, indices_B: Tensor) -> Tensor:
        """The loss of a batch, whose images are these rows of the training images."""
        return _of(self.method, logits_BC, labels_BC, indices_B)


class GeneralizedPseudoLabelLoss(nn.Module):
    """GPR: GR with positives and negatives from given scores; mean.

    Attributes:
        method: holds what the scores give as `given_NC`.
    """

    def __init__(
        self,
        labels_NC: Tensor,
        *,
        scores_NC: Tensor,
        expected_positives: float,
        score_threshold: float = 0.5,
        given_per_image: int = 3,
        given_negative_share: float = 0.0,
        given_softness: float = 0.9,
        given_most_weight: float = 0.7,
        given_least_weight: float = 0.5,
        penalty_weight: float = 0.001,
        gr_w_first: float = 0.0,
        gr_w_last: float = 10.0,
        gr_b_first: float = -2.0,
        gr_b_last: float = -8.0,
        gr_mu_first: float = 0.5,
        gr_mu_last: float = 0.8,
        gr_sigma_first: float = 2.0,
        gr_sigma_last: float = 0.5,
        gr_q2: float = 0.01,
        gr_q3: float = 1.0,
    ) -> None:
        """Take the scores.

        Args:
            labels_NC: states of all training images.
            scores_NC: their scores by class, in [0, 1].
            expected_positives: positive labels of an image on average.
            score_threshold, given_per_image: at most so many scores of an image, from the threshold on, are positives.
            given_negative_share: share of the classes of an image, those of least score, that are negatives.
            given_softness: target of a given positive.
            given_most_weight, given_least_weight: bounds of a given positive's weight.
            penalty_weight: of EPR's penalty.
            gr_w_first, gr_w_last, gr_b_first, gr_b_last, gr_mu_first, gr_mu_last, gr_sigma_first, gr_sigma_last, gr_q2,
                gr_q3: as of `generalized_robust`.
        """
        super().__init__()
        self.method = GeneralizedPseudoLabels(
            labels_NC,
            scores_NC=scores_NC,
            expected_positives=expected_positives,
            score_threshold=score_threshold,
            given_per_image=given_per_image,
            given_negative_share=given_negative_share,
            given_softness=given_softness,
            given_most_weight=given_most_weight,
            given_least_weight=given_least_weight,
            penalty_weight=penalty_weight,
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

    def forward(self, logits_BC: Tensor, labels_BC: Tensor, indices_B: Tensor, *, epoch: int, epochs: int) -> Tensor:
        """The loss of a batch, whose images are these rows of the training images, in an epoch from 1 of so many."""
        return _of(self.method, logits_BC, labels_BC, indices_B, epoch=epoch, epochs=epochs)


def _large_loss(logits_BC: Tensor, labels_BC: Tensor, scheme: Scheme, rate: float | Fraction, variant: str) -> Tensor:
    batch = _batch(logits_BC, labels_BC)
    return large_loss(batch.logits_BC, batch.labels_BC, scheme=scheme, rate=rate, variant=Variant(variant)).loss


def _of(
    method: Method,
    logits_BC: Tensor,
    labels_BC: Tensor,
    indices_B: Tensor | None = None,
    *,
    epoch: int = 1,
    epochs: int = 1,
    views: Mapping[str, Tensor] | None = None,
) -> Tensor:
    batch = _batch(logits_BC, labels_BC, indices_B, epoch=epoch, epochs=epochs)
    if any(view_BC.shape != logits_BC.shape for view_BC in (views or {}).values()):
        raise ValueError(f"expected logits of every view in the shape {tuple(logits_BC.shape)}")
    loss: Tensor = method(batch if views is None else replace(batch, views=views)).loss
    return loss


def _batch(
    logits_BC: Tensor, labels_BC: Tensor, indices_B: Tensor | None = None, *, epoch: int = 1, epochs: int = 1
) -> Batch:
    if logits_BC.ndim != 2 or logits_BC.shape != labels_BC.shape:
        raise ValueError(
            f"expected logits and labels of one shape (B, C), got {tuple(logits_BC.shape)} and {tuple(labels_BC.shape)}"
        )
    if indices_B is not None and indices_B.shape != logits_BC.shape[:1]:
        raise ValueError(f"expected the indices of {len(logits_BC)} images, got shape {tuple(indices_B.shape)}")
    return Batch(
        logits_BC=logits_BC,
        labels_BC=labels_BC.to(torch.int8),
        indices_B=logits_BC.new_zeros(len(logits_BC), dtype=torch.int64) if indices_B is None else indices_B,
        epoch=epoch,
        epochs=epochs,
        num_images=len(logits_BC),
    )
