"""How likely unobserved labels are positive: a logistic regression on what the runs say together, updated by answers.

Features of an (image, class) pair: the principal components of the runs' normal scores (the normal quantile of an
image's rank in the class), so that the answers decide which of the runs are to be believed; the runs' mean logit; half
the square of the first component less one; how far the runs disagree; the largest mean logit of the image's other
classes. Questions are mostly about pairs on which runs disagree, and by the set such pairs are positive less or more
often than others of equal mean rank. Coefficients are shared by the classes; each class has an offset and a slope of
its own.

They are fitted twice. First to the observed labels: positive or negative among the known labels, where known negatives
are at least as many as positives, else observed as positive or not. Second, with that as the prior, made wider, to the
answers: a sample of the unobserved pairs that was chosen by the same scores. An answer is wrong with a probability that
is fitted too.

Shapes: K runs, M images, C classes, J features, D = J + 2 C coefficients (of features, offsets, slopes),
S draws, A answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsml_study.results.drawn_precision import Ranks

_COMPONENTS = 6
_SMALLEST_COMPONENT = 1e-6
"""Share of the largest eigenvalue from which a component counts as more than rounding."""
_LARGEST_LOGIT = 12.0
_SMALLEST_PROBABILITY = 1e-9
_NEWTON_STEPS, _LONGEST_STEP, _TOLERANCE = 12, 2.0, 1e-3
_WRONG_BEFORE, _ANSWERS_BEFORE = 2, 100
"""The share of wrong answers before any was given: as if 2 of 100 had been."""
_WRONG_STEPS = 4

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Spread:
    """Standard deviations of coefficients: one offset for all, of each class its own, slopes of classes, features."""

    common: float
    offset: float
    slope: float
    features: float
    first: float

    def covariance_DD(self, num_features: int, num_classes: int) -> Doubles:  # noqa: N802 - the suffix is the shape
        by_block = [self.features] * num_features + [self.offset] * num_classes + [self.slope] * num_classes
        covariance_DD = np.diag(np.square(by_block))
        covariance_DD[0, 0] = self.first**2
        offsets = slice(num_features, num_features + num_classes)
        covariance_DD[offsets, offsets] += self.common**2
        return covariance_DD


_AT_FIRST = _Spread(common=2.0, offset=1.5, slope=0.5, features=1.0, first=2.0)
_BY_POSITIVES = _Spread(common=1.5, offset=0.7, slope=0.3, features=0.3, first=0.3)
_BY_KNOWN = _Spread(common=0.5, offset=0.2, slope=0.0, features=0.0, first=0.0)
"""How far unobserved labels may depart from what the observed ones say: much where only positives are seen. Where
negatives are known, in offsets alone: known positives may be more, or fewer, than their share among all, and in a
logistic regression that moves nothing else."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelModel:
    """Normal approximation of what the labels and answers say about the coefficients.

    Attributes:
        features_MCJ: of each pair.
        mean_D, root_DD: mean of the coefficients, and the Cholesky factor of their covariance.
        wrong: share of answers that are wrong.
    """

    features_MCJ: Doubles
    mean_D: Doubles
    root_DD: Doubles
    wrong: float

    def drawn_coefficients(self, num_draws: int, rng: np.random.Generator) -> Doubles:
        """(S, D), to be given to `probabilities`."""
        return np.asarray(self.mean_D + rng.normal(size=(num_draws, len(self.mean_D))) @ self.root_DD.T)

    def probabilities(self, coefficients_SD: Doubles, c: int) -> Doubles:
        """(S, M) of being positive in a class, if the label is unobserved."""
        from scipy.special import expit

        features_MJ = self.features_MCJ[:, c]
        num_features, num_classes = features_MJ.shape[1], self.features_MCJ.shape[1]
        slope_S1 = coefficients_SD[:, [num_features + num_classes + c]]
        offset_S1 = coefficients_SD[:, [num_features + c]]
        logit_SM = coefficients_SD[:, :num_features] @ features_MJ.T + offset_S1 + slope_S1 * features_MJ[:, 0]
        return np.asarray(expit(logit_SM))

    def told(self, p_SM: Doubles, state_M: npt.NDArray[np.int8], asked_M: npt.NDArray[np.bool_]) -> Doubles:
        """(S, M) of being positive in a class, by what is told: 1 and 0 where a label was given.

        Args:
            p_SM: if the label were unobserved.
            state_M, asked_M: as for `label_model`, of the class.
        """
        told_SM = np.where(state_M == 0, p_SM, state_M == 1)
        answers = np.flatnonzero(asked_M & (state_M != 0))
        yes_A = state_M[answers] == 1
        likely_SA = np.where(yes_A, p_SM[:, answers], 1 - p_SM[:, answers])
        right_SA = likely_SA * (1 - self.wrong)
        right_SA /= right_SA + (1 - likely_SA) * self.wrong
        told_SM[:, answers] = np.where(yes_A, right_SA, 1 - right_SA)
        return told_SM


def label_model(
    scores_KMC: npt.NDArray[np.floating],
    ranks_KMC: Ranks,
    states_MC: npt.NDArray[np.int8],
    asked_MC: npt.NDArray[np.bool_],
) -> LabelModel:
    """The model by labels and answers.

    Args:
        scores_KMC: logits.
        ranks_KMC: of the images by each run, 1 the best.
        states_MC: +1 positive, -1 negative, 0 unobserved; with the answers already in.
        asked_MC: whether a pair was asked.
    """
    from scipy.special import expit

    features_MCJ = _features(scores_KMC, ranks_KMC)
    num_classes, num_features = features_MCJ.shape[1:]
    seen_MC = np.where(asked_MC, 0, states_MC)
    positive_MC = seen_MC == 1
    has_negatives = (seen_MC == -1).sum() >= max(1, positive_MC.sum())
    # A pair that was asked was unobserved: among what was not observed as positive it counts, among the known not.
    used_MC = seen_MC != 0 if has_negatives else np.ones(seen_MC.shape, bool)
    share = np.clip(positive_MC.sum() / used_MC.sum(), 1e-4, 1 - 1e-4)
    start_D = np.concatenate([[1.0], np.zeros(num_features - 1), np.full(num_classes, np.log(share / (1 - share)))])
    start_D = np.concatenate([start_D, np.zeros(num_classes)])
    covariance_DD = _AT_FIRST.covariance_DD(num_features, num_classes)
    mean_D, covariance_DD = _regression(features_MCJ, positive_MC, used_MC, start_D, covariance_DD)
    wider = _BY_KNOWN if has_negatives else _BY_POSITIVES
    covariance_DD += wider.covariance_DD(num_features, num_classes)
    answered_MC = asked_MC & (states_MC != 0)
    yes_MC = states_MC == 1
    # Expectation maximization: coefficients given the share of wrong answers, then that share given the coefficients.
    prior_D, wrong = mean_D, _WRONG_BEFORE / _ANSWERS_BEFORE
    for _ in range(_WRONG_STEPS):
        mean_D, posterior_DD = _regression(features_MCJ, yes_MC, answered_MC, prior_D, covariance_DD, wrong=wrong)
        surprise_N = np.where(yes_MC, -1, 1)[answered_MC] * _logits(features_MCJ, mean_D)[answered_MC]
        num_wrong = expit(surprise_N + np.log(wrong / (1 - wrong))).sum()
        wrong = float((_WRONG_BEFORE + num_wrong) / (_ANSWERS_BEFORE + answered_MC.sum()))
    root_DD = np.asarray(np.linalg.cholesky(posterior_DD), np.float64)
    return LabelModel(features_MCJ=features_MCJ, mean_D=mean_D, root_DD=root_DD, wrong=wrong)


def _features(scores_KMC: npt.NDArray[np.floating], ranks_KMC: Ranks) -> Doubles:
    num_runs, num_images, num_classes = ranks_KMC.shape
    gram_KK = np.zeros((num_runs, num_runs))
    for c in range(num_classes):
        normal_KM = _normal_scores(ranks_KMC[:, :, c])
        gram_KK += normal_KM @ normal_KM.T
    variance_K, direction_KK = np.linalg.eigh(gram_KK / (num_images * num_classes))
    kept = np.flatnonzero(variance_K >= _SMALLEST_COMPONENT * variance_K[-1])[::-1][:_COMPONENTS]
    direction_KJ = direction_KK[:, kept] / np.sqrt(np.maximum(variance_K[kept], 1e-12))
    # The larger the first component, the likelier the class.
    direction_KJ[:, 0] *= 1 if direction_KJ[:, 0].sum() >= 0 else -1
    components_MCJ = np.empty((num_images, num_classes, len(kept)))
    logit_MC, disagreement_MC = np.empty((2, num_images, num_classes))
    for c in range(num_classes):
        normal_KM = _normal_scores(ranks_KMC[:, :, c])
        components_MCJ[:, c] = normal_KM.T @ direction_KJ
        disagreement_MC[:, c] = normal_KM.std(0)
        logit_M = np.clip(scores_KMC[:, :, c], -_LARGEST_LOGIT, _LARGEST_LOGIT).mean(0, dtype=np.float64)
        logit_MC[:, c] = logit_M - logit_M.mean()
    square_MC = (components_MCJ[..., 0] ** 2 - 1) / 2
    others = [_scaled(logit_MC), square_MC, _scaled(disagreement_MC), _scaled(_largest_other(logit_MC))]
    return np.concatenate([components_MCJ, np.stack(others, axis=-1)], axis=-1)


def _scaled(values_MC: Doubles) -> Doubles:
    """With mean 0 and deviation 1; all 0 where the values are equal."""
    return np.asarray((values_MC - values_MC.mean()) / max(values_MC.std(), 1e-6))


def _largest_other(values_MC: Doubles) -> Doubles:
    """Of each image and class, the largest value of the image's other classes; 0 where there is no other."""
    if values_MC.shape[1] == 1:
        return np.zeros_like(values_MC)
    second_M1, first_M1 = np.split(np.sort(values_MC, axis=1)[:, -2:], 2, axis=1)
    return np.where(values_MC == first_M1, second_M1, first_M1)


def _normal_scores(ranks_KM: Ranks) -> Doubles:
    from scipy.special import ndtri

    num_images = ranks_KM.shape[1]
    return np.asarray(ndtri((num_images - ranks_KM + 0.5) / num_images))


def _logits(features_MCJ: Doubles, coefficients_D: Doubles) -> Doubles:
    num_classes, num_features = features_MCJ.shape[1:]
    shared_J, offset_C, slope_C = np.split(coefficients_D, [num_features, num_features + num_classes])
    return np.asarray(features_MCJ @ shared_J + offset_C + slope_C * features_MCJ[..., 0])


def _regression(
    features_MCJ: Doubles,
    positive_MC: npt.NDArray[np.bool_],
    used_MC: npt.NDArray[np.bool_],
    prior_D: Doubles,
    covariance_DD: Doubles,
    *,
    wrong: float = 0.0,
) -> tuple[Doubles, Doubles]:
    """Mode and covariance of the coefficients by the pairs in use, a share of them wrong, and a normal prior."""
    from scipy.special import expit

    rows = np.flatnonzero(used_MC.any(1))
    if not len(rows):
        return prior_D, covariance_DD
    features_MCJ, used_MC, positive_MC = features_MCJ[rows], used_MC[rows], positive_MC[rows]
    precision_DD = np.linalg.inv(covariance_DD)
    coefficients_D = prior_D.copy()
    for _ in range(_NEWTON_STEPS):
        p_MC = np.clip(expit(_logits(features_MCJ, coefficients_D)), _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
        told_MC = wrong + (1 - 2 * wrong) * p_MC
        # Derivative of the log-odds of what is told by those of the truth: 1 where nothing is wrong.
        by_logit_MC = (1 - 2 * wrong) * p_MC * (1 - p_MC) / (told_MC * (1 - told_MC)) * used_MC
        error_MC = (positive_MC - told_MC) * by_logit_MC
        gradient_D, curvature_DD = _derivatives(features_MCJ, error_MC, told_MC * (1 - told_MC) * by_logit_MC**2)
        curvature_DD += precision_DD
        step_D = np.linalg.solve(curvature_DD, gradient_D - precision_DD @ (coefficients_D - prior_D))
        length = float(np.abs(step_D).max())
        coefficients_D = coefficients_D + step_D * min(1.0, _LONGEST_STEP / max(length, _TOLERANCE))
        if length < _TOLERANCE:
            break
    inverse_DD = np.linalg.inv(curvature_DD)
    return coefficients_D, (inverse_DD + inverse_DD.T) / 2


def _derivatives(features_MCJ: Doubles, error_MC: Doubles, weight_MC: Doubles) -> tuple[Doubles, Doubles]:
    """Gradient (D,) and negative second derivative (D, D) of the log likelihood."""
    num_classes, num_features = features_MCJ.shape[1:]
    first_MC = features_MCJ[..., 0]
    offsets = num_features + np.arange(num_classes)
    slopes = offsets + num_classes
    curvature_DD = np.zeros((num_features + 2 * num_classes,) * 2)
    weighted_MCJ = features_MCJ * weight_MC[..., None]
    flat_NJ = features_MCJ.reshape(-1, num_features)
    curvature_DD[:num_features, :num_features] = weighted_MCJ.reshape(-1, num_features).T @ flat_NJ
    for places, by_class_CJ in ((offsets, weighted_MCJ.sum(0)), (slopes, (weighted_MCJ * first_MC[..., None]).sum(0))):
        curvature_DD[places, :num_features] = by_class_CJ
        curvature_DD[:num_features, places] = by_class_CJ.T
    curvature_DD[offsets, offsets] = weight_MC.sum(0)
    curvature_DD[slopes, slopes] = (weight_MC * first_MC**2).sum(0)
    curvature_DD[offsets, slopes] = curvature_DD[slopes, offsets] = (weight_MC * first_MC).sum(0)
    by_feature_J = error_MC.reshape(-1) @ flat_NJ
    return np.concatenate([by_feature_J, error_MC.sum(0), (error_MC * first_MC).sum(0)]), curvature_DD
