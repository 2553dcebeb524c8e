"""Calibrated probabilities are those of scikit-learn's models, and nearer to the truth than those of the network."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss

from wsml_study.inference.calibration import (
    apply,
    calibrate,
    calibration_error,
    fit_curves,
    log_loss,
    logits_of_probabilities,
)

KNOWN = 600


def distorted(seed: int = 0, num_images: int = KNOWN) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 3) that are wrong by an affine function of their own per class, and labels."""
    random = np.random.RandomState(seed)
    true = random.randn(num_images, 3) * 2 - 1
    labels = np.where(random.rand(num_images, 3) < expit(true), 1, -1).astype(np.int8)
    return (true - [2.0, 0.0, -2.0]) * [0.5, 3.0, 1.0], labels


def test_platts_sigmoid_is_logistic_regression_on_his_targets() -> None:
    logits, labels = distorted()
    curve = fit_curves(logits, labels, "platt")[1]
    truth = labels[:, 1] > 0
    high, low = (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2)
    share = np.where(truth, high, low)
    oracle = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(
        np.tile(logits[:, 1], 2)[:, None],
        np.repeat([True, False], KNOWN),
        sample_weight=np.concatenate([share, 1 - share]),
    )
    assert (curve.slope, curve.offset) == pytest.approx((oracle.coef_[0, 0], oracle.intercept_[0]), rel=1e-3)


def test_isotonic_curves_are_scikit_learns() -> None:
    logits, labels = distorted()
    curve = fit_curves(logits, labels, "isotonic")[0]
    oracle = IsotonicRegression(out_of_bounds="clip").fit(logits[:, 0], labels[:, 0] > 0)
    points = np.linspace(-9, 9, 101)
    expected = oracle.predict(points).clip(1 / (KNOWN + 2), 1 - 1 / (KNOWN + 2))
    assert apply(curve, points) == pytest.approx(expected, abs=0.005)


def test_the_kind_that_fits_is_kept_and_measured_on_other_images() -> None:
    logits, labels = distorted()
    found = calibrate(logits, labels)
    assert found.quality.kind == "platt"
    assert found.quality.log_loss == min(found.quality.log_loss_by_kind.values()) < found.quality.log_loss_before
    fresh_logits, fresh_labels = distorted(seed=1, num_images=4000)
    truth = fresh_labels > 0
    fresh = np.stack([apply(curve, fresh_logits[:, c]) for c, curve in enumerate(found.curves_C)], axis=1)
    assert log_loss(fresh, truth) == pytest.approx(found.quality.log_loss, rel=0.05)
    assert calibration_error(fresh.ravel(), truth.ravel()) < 0.02 < found.quality.ece_before


def test_classes_with_few_labels_take_the_pooled_curve() -> None:
    logits, labels = distorted()
    labels[:, 2] = 0
    labels[:9, 2] = 1
    labels[9:50, 2] = -1
    curves = fit_curves(logits, labels, "platt")
    assert [curve.kind for curve in curves] == ["platt", "platt", "pooled"]
    assert curves[2] == fit_curves(logits, labels, "pooled")[0]


def test_logits_that_fall_with_the_labels_are_not_turned_round() -> None:
    logits, labels = distorted()
    logits[:, 0] *= -1
    assert fit_curves(logits, labels, "platt")[0].kind == "pooled"


def test_classes_that_are_separated_have_finite_curves() -> None:
    logits = np.repeat([-50.0, 50.0], 20)[:, None]
    (curve,) = fit_curves(logits, np.sign(logits).astype(np.int8), "platt")
    assert apply(curve, logits[:, 0]) == pytest.approx(np.repeat([1 / 22, 21 / 22], 20), abs=1e-4)


def test_log_loss_is_scikit_learns_and_unknown_labels_do_not_count() -> None:
    logits, labels = distorted()
    known = labels != 0
    assert log_loss(expit(logits)[known], labels[known] > 0) == pytest.approx(
        sklearn_log_loss(labels[known] > 0, expit(logits)[known])
    )
    more = np.concatenate([logits, 100 + logits]), np.concatenate([labels, np.zeros_like(labels)])
    assert fit_curves(*more, "platt") == fit_curves(logits, labels, "platt")
    with pytest.raises(ValueError, match="expected known labels, got none"):
        calibrate(logits, np.zeros_like(labels))


def test_probabilities_and_logits_go_both_ways() -> None:
    logits = np.array([-30.0, -1.0, 0.0, 20.0])
    assert logits_of_probabilities(expit(logits)) == pytest.approx(logits, rel=1e-6)
    assert logits_of_probabilities(np.array([0.0, 1.0])).tolist() == [-36, 36]
