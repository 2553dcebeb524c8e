"""Which labels of training images are probably missing or wrong, by scores of classifiers that never saw the image.

1. Per class, a logistic regression turns the scores of K classifiers, standardized, and how the class compares with the
   others of the image into q, the probability to be labelled positive; it is cross-fitted. It learns from the known
   labels of a class; in a class without known negatives the unobserved labels are its negatives. Where negatives are
   known, one slope and offset of the log odds for all classes calibrate q.
2. Some given labels are wrong. With the rates of wrong ones, which an EM algorithm estimates from q, Bayes' rule gives
   the probability that a given label is wrong, and what an image shows where its label is unobserved.
3. Where positives are notably likelier to be known than negatives, or the other way, the probability of unobserved
   labels is corrected for that (`inference/observation_odds.py`).
4. In classes without known negatives, how many positives are known cannot be read from the labels. A share e of them is
   assumed; with odds(p) = odds(q) / e an unobserved label is positive with probability p * (1 - e): the relation of
   Elkan and Noto (2008), with e rising to 1 where q does, since a class that is certain to be named was named.
   Few known negatives, or negatives that score higher than the unobserved labels of the class, are no sample of the
   negatives: somebody was asked about doubtful labels, as after an audit. Such a class counts as one without.
5. Within a class, unobserved labels exchange their probabilities: those that large-loss methods distrusted in more
   epochs come earlier. That is 0 of every observed label, so that step 1 could not weigh it.

Shapes: K classifiers, N images, C classes, F features of a pair, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.inference.calibration import FOLDS, image_folds
from wsml_study.inference.observation_odds import observation_odds

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FEWEST_NEGATIVES, NEGATIVES_PER_POSITIVE = 5, 0.5
"""Known negatives with fewer of which, in all or per known positive, a class counts as one without."""

CHOSEN = 0.5
"""Standard deviations by which known negatives that score higher than unobserved labels were chosen by their score."""

DISTRUST_WEIGHT = 4.0
"""In the order of a class's unobserved labels, the log odds that a label gains which was distrusted in every epoch."""

KNOWN_SHARE, KNOWN_SHARES = 0.6, (0.25, 0.6, 0.9)
"""Of the positives of a class without known negatives: the share that is assumed to be known, and its range."""

WRONG_SHARE, WRONG_WEIGHT = 0.025, 200
"""Share of given labels that is wrong, before the scores are looked at, and how many labels that belief weighs."""

EM_STEPS, NEWTON_STEPS, RIDGE = 20, 12, 1.0
MARGIN, LEAST_SLOPE = 1e-6, 0.1
SURER = 0.02
"""Of the doubt in q, the share that stays at least when wrong labels are taken out."""

SEED, NUM_RESAMPLES = 2, 200


@dataclass(frozen=True, kw_only=True)
class LabelAudit:
    """What the labels of N images should be.

    Attributes:
        error_NC: probability that an unobserved label is positive, or that a given one is wrong.
        missing_C: expected number of positives among the unobserved labels.
        low_C, high_C: its 90 % interval.
        without_negatives_C: classes without known negatives, where the share of known positives is assumed.
    """

    error_NC: Floats
    missing_C: Floats
    low_C: Floats
    high_C: Floats
    without_negatives_C: Mask


def audited(scores_KNC: Floats, states_NC: Labels, distrusted_NC: Floats | None = None) -> LabelAudit:
    """Judge labels by scores.

    The interval covers which images there are, how few positives of a class are known, which classifiers were taken,
    chance, and the range of what is assumed.

    Args:
        scores_KNC: logits of classifiers that were trained without the image.
        states_NC: given labels, +1, -1 or 0.
        distrusted_NC: the share of epochs in which large-loss methods distrusted a label; None without such methods.

    Raises:
        ValueError: no label is known to be positive.
    """
    if not (states_NC == POSITIVE).any():
        raise ValueError("expected labels that are known to be positive, got none")
    standardized_KNC = _standardized(scores_KNC)
    without_C = _without_negatives(standardized_KNC.mean(axis=0), states_NC)
    error_NC = _errors(_labelled(standardized_KNC, states_NC, without_C), states_NC, without_C, KNOWN_SHARE)
    unobserved_NC = states_NC == UNOBSERVED
    parts = [standardized_KNC] if len(scores_KNC) == 1 else [standardized_KNC, *standardized_KNC[:, None]]
    random = np.random.RandomState(SEED)
    shares = KNOWN_SHARES if without_C.any() else (KNOWN_SHARE,)
    num = -(-NUM_RESAMPLES // (len(parts) * len(shares)))
    # The known positives are a count, whose relative deviation is 1 / sqrt(count).
    relative_C = 1 / np.sqrt((states_NC == POSITIVE).sum(axis=0) + 1)
    draws = []
    for part in parts:
        labelled_NC = _labelled(part, states_NC, without_C)
        for share in shares:
            missing_NC = _errors(labelled_NC, states_NC, without_C, share) * unobserved_NC
            sums_RC = _resampled_sums(missing_NC, num, random)
            draws.append(sums_RC * np.exp(relative_C * random.standard_normal(sums_RC.shape)))
    low_C, high_C = np.quantile(np.concatenate(draws), (0.05, 0.95), axis=0)
    missing_C = (error_NC * unobserved_NC).sum(axis=0)
    return LabelAudit(
        error_NC=error_NC if distrusted_NC is None else _by_distrust(error_NC, unobserved_NC, distrusted_NC),
        missing_C=missing_C,
        low_C=np.minimum(low_C, missing_C),
        high_C=np.maximum(high_C, missing_C),
        without_negatives_C=without_C,
    )


def _without_negatives(mean_NC: Floats, states_NC: Labels) -> Mask:
    """Classes (C,) whose known negatives are too few, or are no sample of all negatives.

    Args:
        mean_NC: standardized scores, the mean of the classifiers.
        states_NC: given labels.
    """
    negative_NC, unobserved_NC = states_NC == NEGATIVE, states_NC == UNOBSERVED
    num_negatives_C = negative_NC.sum(axis=0)
    fewest_C = np.maximum(FEWEST_NEGATIVES, NEGATIVES_PER_POSITIVE * (states_NC == POSITIVE).sum(axis=0))
    score_C, among_unobserved_C = (
        (mean_NC * mask_NC).sum(axis=0) / np.maximum(mask_NC.sum(axis=0), 1) for mask_NC in (negative_NC, unobserved_NC)
    )
    chosen_C = unobserved_NC.any(axis=0) & (score_C > among_unobserved_C + CHOSEN)
    return np.asarray((num_negatives_C < fewest_C) | chosen_C)


def _by_distrust(error_NC: Floats, unobserved_NC: Mask, distrusted_NC: Floats) -> Floats:
    """Probabilities of an error (N, C): of each class the same ones, the larger for labels that are distrusted more."""
    ordered_NC = error_NC.copy()
    clipped_NC = np.clip(error_NC, MARGIN, 1 - MARGIN)
    doubt_NC = np.log(clipped_NC / (1 - clipped_NC)) + DISTRUST_WEIGHT * distrusted_NC
    for c in range(error_NC.shape[1]):
        rows = np.flatnonzero(unobserved_NC[:, c])
        order = rows[np.argsort(doubt_NC[rows, c], kind="stable")]
        ordered_NC[order, c] = np.sort(error_NC[rows, c])
    return ordered_NC


def _resampled_sums(missing_NC: Floats, num: int, random: np.random.RandomState) -> Floats:
    """Numbers of positives (R, C) in resamples of the images, each label drawn with its probability."""
    num_images = len(missing_NC)
    draws = []
    for _ in range(num):
        times_N = random.multinomial(num_images, np.full(num_images, 1 / num_images))
        deviation_C = np.sqrt(times_N @ (missing_NC * (1 - missing_NC)))
        draws.append(times_N @ missing_NC + deviation_C * random.standard_normal(missing_NC.shape[1]))
    return np.maximum(np.stack(draws), 0)


def _standardized(scores_KNC: Floats) -> Floats:
    """Of each classifier and class mean 0 and deviation 1."""
    deviation_K1C = scores_KNC.std(axis=1, keepdims=True)
    standardized: Floats = (scores_KNC - scores_KNC.mean(axis=1, keepdims=True)) / np.maximum(deviation_K1C, 1e-9)
    return standardized


def _labelled(standardized_KNC: Floats, states_NC: Labels, without_C: Mask) -> Floats:
    """q (N, C), the cross-fitted probability to be labelled positive."""
    num_images, num_classes = states_NC.shape
    folds = list(image_folds(num_images, FOLDS, SEED))
    mean_NC = standardized_KNC.mean(axis=0)
    labelled_NC = np.empty((num_images, num_classes))
    for c in range(num_classes):
        features_NF = _features(standardized_KNC, mean_NC, c)
        positive_N = states_NC[:, c] == POSITIVE
        counts_N = np.ones(num_images, dtype=bool) if without_C[c] else states_NC[:, c] != UNOBSERVED
        for held_out_N in folds:
            rest_N = counts_N & ~held_out_N
            weights_F = _logistic(features_NF[rest_N], positive_N[rest_N])
            labelled_NC[held_out_N, c] = expit(features_NF[held_out_N] @ weights_F)
    labelled_NC = np.clip(labelled_NC, MARGIN, 1 - MARGIN)
    counts_NC = (states_NC != UNOBSERVED) & ~without_C
    if counts_NC.any():
        labelled_NC[:, ~without_C] = _recalibrated(labelled_NC, states_NC == POSITIVE, counts_NC)[:, ~without_C]
    return labelled_NC


def _recalibrated(labelled_NC: Floats, positive_NC: Mask, counts_NC: Mask) -> Floats:
    """Probabilities with one slope and offset of their log odds for all classes, fitted to the pairs that count.

    Regressions per class on few labels are too sure of images that they were fitted without, most where scores say
    little: slopes of .6 to .7 were found on digit scenes, and of 1 on Scene.
    """
    logits_NC = np.log(labelled_NC / (1 - labelled_NC))
    features_MF = np.stack([np.ones(int(counts_NC.sum())), logits_NC[counts_NC]], axis=1)
    offset, slope = _logistic(features_MF, positive_NC[counts_NC])
    # A slope below 0 would turn the order around, where scores say nothing and chance alone made it so.
    recalibrated_NC: Floats = np.clip(expit(offset + max(slope, LEAST_SLOPE) * logits_NC), MARGIN, 1 - MARGIN)
    return recalibrated_NC


def _features(standardized_KNC: Floats, mean_NC: Floats, c: int) -> Floats:
    """Features (N, F) of a class: 1, its scores, the two highest of other classes, and how far it is above these."""
    others_NC = np.sort(np.delete(mean_NC, c, axis=1), axis=1)[:, -2:]
    above = mean_NC[:, c, None] - others_NC[:, -1:]
    return np.concatenate([np.ones((len(mean_NC), 1)), standardized_KNC[:, :, c].T, others_NC, above], axis=1)


def _logistic(features_MF: Floats, positive_M: Mask) -> Floats:
    """Weights of a logistic regression with a ridge, the first one, of the constant, free; by Newton's method."""
    num_positive, num = int(positive_M.sum()), len(positive_M)
    ridge_F = np.full(features_MF.shape[1], RIDGE)
    ridge_F[0] = 0
    weights_F = np.zeros(features_MF.shape[1])
    weights_F[0] = np.log((num_positive + 0.5) / (num - num_positive + 0.5))
    if num_positive in (0, num):
        return weights_F

    def loss(weights: Floats) -> float:
        scores_M = features_MF @ weights
        return float((np.logaddexp(0, scores_M) - positive_M * scores_M).sum() + (ridge_F * weights**2).sum() / 2)

    value = loss(weights_F)
    for _ in range(NEWTON_STEPS):
        fitted_M = expit(features_MF @ weights_F)
        gradient_F = features_MF.T @ (fitted_M - positive_M) + ridge_F * weights_F
        hessian_FF = (features_MF.T * (fitted_M * (1 - fitted_M))) @ features_MF + np.diag(ridge_F + MARGIN)
        step_F = np.linalg.solve(hessian_FF, gradient_F)
        scale = 1.0
        while (found := loss(weights_F - scale * step_F)) > value and scale > MARGIN:
            scale /= 2
        weights_F, gain, value = weights_F - scale * step_F, value - found, found
        if gain < MARGIN * num:
            break
    return weights_F


def _errors(labelled_NC: Floats, states_NC: Labels, without_C: Mask, known_share: float) -> Floats:
    """Probability of an error (N, C), in classes with known negatives and in those without."""
    errors_NC = np.empty(labelled_NC.shape)
    ways: tuple[tuple[Mask, Callable[[Floats, Labels], Floats]], ...] = (
        (~without_C, _errors_with_negatives),
        (without_C, lambda labelled, states: _errors_without_negatives(labelled, states, known_share)),
    )
    for of_way_C, errors_of in ways:
        if of_way_C.any():
            errors_NC[:, of_way_C] = errors_of(labelled_NC[:, of_way_C], states_NC[:, of_way_C])
    return errors_NC


def _errors_with_negatives(labelled_NC: Floats, states_NC: Labels) -> Floats:
    """As `_errors`, of classes with known negatives."""
    positive_NC, negative_NC = states_NC == POSITIVE, states_NC == NEGATIVE
    known_NC = positive_NC | negative_NC
    wrong_positive = wrong_negative = WRONG_SHARE  # of true negatives labelled positive, of true positives the reverse
    for _ in range(EM_STEPS):
        shown_NC = np.clip(
            (labelled_NC - wrong_positive) / (1 - wrong_positive - wrong_negative),
            SURER * labelled_NC,
            1 - SURER * (1 - labelled_NC),  # limits that depend on q keep the order of pairs
        )
        if_positive_NC = _bayes(wrong_positive * (1 - shown_NC), (1 - wrong_negative) * shown_NC)
        if_negative_NC = _bayes(wrong_negative * shown_NC, (1 - wrong_positive) * (1 - shown_NC))
        believed = WRONG_SHARE * WRONG_WEIGHT
        wrong_positive = (if_positive_NC[positive_NC].sum() + believed) / (
            (1 - shown_NC[known_NC]).sum() + WRONG_WEIGHT
        )
        wrong_negative = (if_negative_NC[negative_NC].sum() + believed) / (shown_NC[known_NC].sum() + WRONG_WEIGHT)
        wrong_positive, wrong_negative = min(wrong_positive, 0.4), min(wrong_negative, 0.4)
    unobserved_NC = _unobserved(shown_NC, states_NC)
    return np.where(positive_NC, if_positive_NC, np.where(negative_NC, if_negative_NC, unobserved_NC))


def _unobserved(shown_NC: Floats, states_NC: Labels) -> Floats:
    """How likely unobserved labels are positive: as known ones, corrected where positives are likelier known."""
    odds = observation_odds(shown_NC, states_NC)
    if odds is None or not odds.is_notable:
        return shown_NC
    among_all_NC = shown_NC / (shown_NC + odds.ratio * (1 - shown_NC))
    num_positive = among_all_NC.sum()
    known_positive = min(0.99, (states_NC == POSITIVE).sum() / num_positive)
    known_negative = min(0.99, (states_NC == NEGATIVE).sum() / (among_all_NC.size - num_positive))
    return _bayes(among_all_NC * (1 - known_positive), (1 - among_all_NC) * (1 - known_negative))


def _errors_without_negatives(labelled_NC: Floats, states_NC: Labels, known_share: float) -> Floats:
    """As `_errors`, of classes without known negatives."""
    positive_NC = states_NC == POSITIVE
    num_positive = int(positive_NC.sum())
    share = WRONG_SHARE
    for _ in range(EM_STEPS):
        wrong_positive = share * num_positive / max(1, states_NC.size - num_positive)
        rightly_NC = np.clip(labelled_NC - wrong_positive, MARGIN, 1)
        shown_NC = rightly_NC / (rightly_NC + known_share * (1 - rightly_NC))
        if_positive_NC = _bayes(wrong_positive * (1 - shown_NC), known_share * shown_NC)
        share = (if_positive_NC[positive_NC].sum() + WRONG_SHARE * WRONG_WEIGHT) / (num_positive + WRONG_WEIGHT)
    # A few known negatives are judged as labels, not as what is unobserved.
    negative_NC = _bayes(WRONG_SHARE * shown_NC, (1 - WRONG_SHARE) * (1 - shown_NC))
    unobserved_NC = shown_NC * (1 - known_share)
    return np.where(positive_NC, if_positive_NC, np.where(states_NC == NEGATIVE, negative_NC, unobserved_NC))


def _bayes(weight: Floats, other: Floats) -> Floats:
    """The share of a weight in the sum of two."""
    share: Floats = weight / (weight + other)
    return share
