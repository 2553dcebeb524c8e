"""Calibration of probabilities: from logits to probabilities that are met by the labels.

Platt's sigmoid per class, isotonic regression per class, or one sigmoid for all classes (pooled), which also stands in
for classes with few labels. Which of them is kept is decided by cross-fitted log loss.

Shapes: M images, C classes, K known labels of a class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.record.decision_rules import CalibrationKind, CalibrationQuality, Curve

Floats = npt.NDArray[np.float64]

FEWEST_LABELS = 10
"""Positives, and negatives, with fewer of which a class takes the pooled sigmoid."""

FOLDS, SEED = 5, 0
NUM_BINS = 15
KINDS: tuple[CalibrationKind, ...] = ("none", "pooled", "platt", "isotonic")
LARGEST_LOGIT = 36.0
"""Beyond it a double precision probability is 1."""

MOST_STEPS, SMALLEST_STEP = 100, 1e-10


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The curves of C classes, and how good they are."""

    curves_C: tuple[Curve, ...]
    quality: CalibrationQuality


def calibrate(logits_MC: Floats, labels_MC: Labels) -> Calibration:
    """Fit each kind of curve, and keep the kind of the least cross-fitted log loss over all known labels.

    Args:
        logits_MC: of the model.
        labels_MC: +1, -1, or 0 for labels that are not known, which do not count.

    Raises:
        ValueError: no label is known.
    """
    known_MC = labels_MC != UNOBSERVED
    if not known_MC.any():
        raise ValueError("expected known labels, got none")
    truth = labels_MC[known_MC] == POSITIVE
    crossfitted = {kind: _crossfitted(logits_MC, labels_MC, kind)[known_MC] for kind in KINDS}
    losses = {kind: log_loss(probabilities, truth) for kind, probabilities in crossfitted.items()}
    best = min(KINDS, key=losses.__getitem__)  # of equals the simplest
    return Calibration(
        curves_C=fit_curves(logits_MC, labels_MC, best),
        quality=CalibrationQuality(
            kind=best,
            log_loss_before=losses["none"],
            log_loss=losses[best],
            ece_before=calibration_error(crossfitted["none"], truth),
            ece=calibration_error(crossfitted[best], truth),
            log_loss_by_kind={str(kind): loss for kind, loss in losses.items()},
        ),
    )


def fit_curves(logits_MC: Floats, labels_MC: Labels, kind: CalibrationKind) -> tuple[Curve, ...]:
    """A curve per class; of a class with few labels, or whose logits do not rise with the labels, the pooled one."""
    num_classes = labels_MC.shape[1]
    if kind == "none":
        return tuple(Curve(kind="none") for _ in range(num_classes))
    known_MC = labels_MC != UNOBSERVED
    pooled = _sigmoid(logits_MC[known_MC], labels_MC[known_MC] == POSITIVE, "pooled") or Curve(kind="none")
    if kind == "pooled":
        return tuple(pooled for _ in range(num_classes))
    return tuple(_of_class(logits_MC[:, c], labels_MC[:, c], kind) or pooled for c in range(num_classes))


def apply(curve: Curve, logits: Floats) -> Floats:
    """Calibrated probabilities of logits of any shape."""
    if curve.kind == "isotonic":
        return np.asarray(np.interp(logits, curve.logits, curve.probabilities), dtype=np.float64)
    slope, offset = (1.0, 0.0) if curve.slope is None or curve.offset is None else (curve.slope, curve.offset)
    calibrated: Floats = expit(slope * logits + offset)
    return calibrated


def logits_of_probabilities(probabilities: Floats) -> Floats:
    """The logits of probabilities in double precision, within +-36."""
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities) - np.log1p(-probabilities)
    clipped: Floats = np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)
    return clipped


def log_loss(probabilities: Floats, truth: npt.NDArray[np.bool_]) -> float:
    """Mean negative log likelihood."""
    of_truth = np.where(truth, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(of_truth, np.finfo(np.float64).tiny)).mean())


def calibration_error(probabilities: Floats, truth: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: |mean probability - share of positives| of 15 bins of equal width, by their sizes.

    >>> calibration_error(np.array([0.9, 0.9, 0.1, 0.1]), np.array([True, True, False, True]))
    0.25
    """
    bins = np.minimum((probabilities * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    gaps = np.bincount(bins, weights=probabilities - truth, minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def image_folds(num_images: int, num_folds: int, seed: int) -> Iterator[npt.NDArray[np.bool_]]:
    """Masks (M,) of the images of each fold."""
    fold_M = np.random.RandomState(seed).permutation(num_images) % num_folds
    return (fold_M == fold for fold in range(num_folds))


def _crossfitted(logits_MC: Floats, labels_MC: Labels, kind: CalibrationKind) -> Floats:
    """Probabilities (M, C) of curves that were fitted without the image."""
    probabilities_MC = np.empty_like(logits_MC)
    for held_out_M in image_folds(len(logits_MC), FOLDS, SEED):
        rest_M = ~held_out_M
        curves: Sequence[Curve] = fit_curves(logits_MC[rest_M], labels_MC[rest_M], kind)
        probabilities_MC[held_out_M] = np.stack(
            [apply(curve, logits_MC[held_out_M, c]) for c, curve in enumerate(curves)], axis=1
        )
    return probabilities_MC


def _of_class(logits_M: Floats, labels_M: Labels, kind: CalibrationKind) -> Curve | None:
    if min((labels_M == POSITIVE).sum(), (labels_M == NEGATIVE).sum()) < FEWEST_LABELS:
        return None
    known_M = labels_M != UNOBSERVED
    logits_K, truth_K = logits_M[known_M], labels_M[known_M] == POSITIVE
    return _sigmoid(logits_K, truth_K, "platt") if kind == "platt" else _isotonic(logits_K, truth_K)


def _sigmoid(logits_K: Floats, truth_K: npt.NDArray[np.bool_], kind: CalibrationKind) -> Curve | None:
    """Platt's sigmoid by Newton's method, with his targets, which keep it finite; None if it falls or does not settle.

    Source: Platt, Probabilistic outputs for support vector machines, 1999; the method follows Lin, Lin and Weng, 2007.
    """
    num_positive = int(truth_K.sum())
    num_negative = len(truth_K) - num_positive
    targets_K = np.where(truth_K, (num_positive + 1) / (num_positive + 2), 1 / (num_negative + 2))
    inputs_K2 = np.stack([logits_K, np.ones_like(logits_K)], axis=1)

    def loss(parameters: Floats) -> float:
        scores_K = inputs_K2 @ parameters
        return float((np.logaddexp(0, scores_K) - targets_K * scores_K).sum())

    parameters = np.array([0.0, np.log((num_positive + 1) / (num_negative + 1))])
    value = loss(parameters)
    for _ in range(MOST_STEPS):
        fitted_K = expit(inputs_K2 @ parameters)
        gradient = inputs_K2.T @ (fitted_K - targets_K)
        hessian = (inputs_K2.T * (fitted_K * (1 - fitted_K))) @ inputs_K2 + 1e-10 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        scale = 1.0
        while (found := loss(parameters - scale * step)) > value and scale > SMALLEST_STEP:
            scale /= 2  # a full step can overshoot where the sigmoid is flat
        parameters, gain, value = parameters - scale * step, value - found, found
        if gain < SMALLEST_STEP * len(truth_K):
            break
    slope, offset = parameters.tolist()
    return Curve(kind=kind, slope=slope, offset=offset) if slope > 0 and np.isfinite(parameters).all() else None


def _isotonic(logits_K: Floats, truth_K: npt.NDArray[np.bool_]) -> Curve:
    """Isotonic regression; its ends are at most as sure as Laplace's rule for as many labels."""
    margin = 1 / (len(truth_K) + 2)
    fitted = IsotonicRegression(y_min=margin, y_max=1 - margin, out_of_bounds="clip").fit(logits_K, truth_K)
    return Curve(
        kind="isotonic",
        logits=tuple(fitted.X_thresholds_.tolist()),
        probabilities=tuple(fitted.y_thresholds_.tolist()),
    )
