"""Thresholds and calibration of a model by validation labels that a study's trials and people's answers complete.

A threshold is chosen by each completion of the labels. Kept is their median; the stated precision and recall are means
over the completions, and their intervals reach from the 5 % quantile of the lower ends to the 95 % quantile of the
upper ends.

Shapes: M images, C classes, S completions.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.inference.calibration import calibrate
from wsml_study.inference.threshold_choice import Chosen, choose
from wsml_study.record.decision_rules import ClassRule, Curve, DecisionRules, Interval, Origin, Target
from wsml_study.results.completed_labels import CompletedLabels

Floats = npt.NDArray[np.float64]

LEAST_SHARE = 0.5
"""Of the completions that must have a threshold."""

LOW, HIGH = 0.05, 0.95
NO_POSITIVE = "no label of the study's validation images is known to be positive"


def rules_by_answers(logits_MC: Floats, labels: CompletedLabels, target: Target, *, origin: Origin) -> DecisionRules:
    """Thresholds by completed labels, and a calibration by the first completion.

    Args:
        logits_MC: of the model, for the images and classes of the labels, in their order.
        labels: of the study.
        target: what to choose for.
        origin: what they are made from.
    """
    completed_MC = _states(labels, labels.positive_SMC[0])
    calibration = calibrate(logits_MC, completed_MC)
    rules = tuple(
        _class_rule(labels, c, logits_MC[:, c], target, calibration.curves_C[c]) for c in range(len(labels.classes))
    )
    unknown = (labels.states_MC == UNOBSERVED).mean()
    return DecisionRules(
        origin=origin,
        target=target,
        calibration=calibration.quality,
        warnings=(
            f"{unknown:.1%} of the labels are not known; {len(labels.positive_SMC)} completions of them were drawn by "
            f"what the study's trials and {labels.num_answers:,} answers say; intervals include how far they differ",
        ),
        classes=rules,
    )


def _states(labels: CompletedLabels, positive_MC: npt.NDArray[np.bool_]) -> Labels:
    """Completed labels as states; what a person could not say, and classes that do not count, are unknown."""
    states_MC = np.where(positive_MC, POSITIVE, NEGATIVE).astype(np.int8)
    states_MC[labels.left_out_MC] = UNOBSERVED
    states_MC[:, ~labels.counted_C] = labels.states_MC[:, ~labels.counted_C]
    return states_MC


def _class_rule(labels: CompletedLabels, c: int, logits_M: Floats, target: Target, calibration: Curve) -> ClassRule:
    states_M, kept_M = labels.states_MC[:, c], ~labels.left_out_MC[:, c]
    found = (
        [choose(logits_M[kept_M], positive_M[kept_M], target) for positive_M in labels.positive_SMC[:, :, c]]
        if labels.counted_C[c]
        else [NO_POSITIVE]
    )
    chosen = [one for one in found if isinstance(one, Chosen)]
    reasons = Counter(one for one in found if isinstance(one, str))
    pooled = _pooled(chosen) if len(chosen) > LEAST_SHARE * len(found) else None
    return ClassRule(
        name=labels.classes[c],
        threshold=None if pooled is None else float(expit(pooled.threshold)),
        lowest=None if pooled is None else float(expit(pooled.lowest)),
        highest=None if pooled is None else float(expit(pooled.highest)),
        precision=None if pooled is None else pooled.precision,
        recall=None if pooled is None else pooled.recall,
        f1=None if pooled is None else pooled.f1,
        positives=int((states_M == POSITIVE).sum()),
        negatives=int((states_M == NEGATIVE).sum()),
        unknown=int((states_M == UNOBSERVED).sum()),
        why_none=reasons.most_common(1)[0][0] if pooled is None else None,
        calibration=calibration,
    )


def _pooled(chosen: list[Chosen]) -> Chosen:
    thresholds_S = np.array([one.threshold for one in chosen])
    return Chosen(
        threshold=float(np.median(thresholds_S)),
        lowest=float(min(np.quantile(thresholds_S, LOW), np.median([one.lowest for one in chosen]))),
        highest=float(max(np.quantile(thresholds_S, HIGH), np.median([one.highest for one in chosen]))),
        precision=_interval([one.precision for one in chosen]),
        recall=_interval([one.recall for one in chosen]),
    )


def _interval(intervals: list[Interval]) -> Interval:
    low, high = np.quantile([one.low for one in intervals], LOW), np.quantile([one.high for one in intervals], HIGH)
    return Interval(value=float(np.mean([one.value for one in intervals])), low=float(low), high=float(high))
