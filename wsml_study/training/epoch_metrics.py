"""Epoch metrics of validation scores: what an objective maximizes or minimizes.

Each takes scores (M, C), label states (M, C) and its options as keywords, and gives a number, NaN where nothing is
annotated.

Shapes: M images, C classes.
"""

from __future__ import annotations

import math

from torch import Tensor

from wsml_study.methods.contract import NEGATIVE, POSITIVE
from wsml_study.registry import implementation
from wsml_study.study.objective_section import Objective
from wsml_study.training.average_precision import average_precision_C, mean_average_precision
from wsml_study.training.counted_classes import counted_classes
from wsml_study.training.ranking_metrics import (
    coverage,
    label_choice,
    one_error,
    precision_at,
    ranking_loss,
    recall_at,
)


def objective_of(objective: Objective, scores_MC: Tensor, labels_MC: Tensor) -> float | None:
    """The value of an objective's metric; None where nothing is annotated, or no class counts in a mean over classes.

    Args:
        objective: names the metric.
        scores_MC: the larger, the likelier the label.
        labels_MC: +1 positive, -1 negative, anything else not annotated; on the device of the scores.
    """
    compute = objective.record.compute
    metric = implementation(compute) if isinstance(compute, str) else compute
    if objective.record.over_classes and objective.least_positives:
        counted_C = counted_classes(labels_MC, objective.least_positives)
        if not counted_C.any():
            return None
        scores_MC, labels_MC = scores_MC[:, counted_C], labels_MC[:, counted_C]
    value = float(metric(scores_MC, labels_MC, **objective.options))
    return None if math.isnan(value) else value


def mean_ap(scores_MC: Tensor, labels_MC: Tensor, *, min_positives: int) -> float:
    """Mean average precision in percent, over the classes with `min_positives` positives at least."""
    ap_C = average_precision_C(scores_MC, labels_MC)
    few_C = (labels_MC == POSITIVE).sum(0) < min_positives
    return 100 * mean_average_precision(ap_C.masked_fill(few_C, math.nan))


def micro_ap(scores_MC: Tensor, labels_MC: Tensor) -> float:
    """Average precision in percent of all annotated entries, ranked by p over all classes."""
    annotated_MC = (labels_MC == POSITIVE) | (labels_MC == NEGATIVE)
    scores_E1, labels_E1 = scores_MC[annotated_MC][:, None], labels_MC[annotated_MC][:, None]
    return 100 * float(average_precision_C(scores_E1, labels_E1)) if len(scores_E1) else math.nan


def of1(scores_MC: Tensor, labels_MC: Tensor) -> float:
    """OF1 in percent, of logits above 0."""
    if not _any_annotated(labels_MC):
        return math.nan
    return 100 * label_choice(scores_MC > 0, labels_MC).overall_f1


def cf1(scores_MC: Tensor, labels_MC: Tensor) -> float:
    """CF1 in percent, of logits above 0."""
    return 100 * label_choice(scores_MC > 0, labels_MC).class_f1


def mean_ranking_loss(scores_MC: Tensor, labels_MC: Tensor) -> float:
    """`ranking_loss`, a fraction."""
    return ranking_loss(scores_MC, labels_MC) if _any_annotated(labels_MC) else math.nan


def mean_coverage(scores_MC: Tensor, labels_MC: Tensor) -> float:
    """`coverage`, in labels."""
    return coverage(scores_MC, labels_MC) if _any_annotated(labels_MC) else math.nan


def mean_one_error(scores_MC: Tensor, labels_MC: Tensor) -> float:
    """`one_error`, a fraction."""
    return one_error(scores_MC, labels_MC)


def mean_precision_at_k(scores_MC: Tensor, labels_MC: Tensor, *, k: int) -> float:
    """`precision_at`, in percent."""
    return 100 * precision_at(scores_MC, labels_MC, k)


def mean_recall_at_k(scores_MC: Tensor, labels_MC: Tensor, *, k: int) -> float:
    """`recall_at`, in percent."""
    return 100 * recall_at(scores_MC, labels_MC, k)


def _any_annotated(labels_MC: Tensor) -> bool:
    """Without this, metrics of images (and F1) are 0 where nothing is annotated, the best ranking loss there is."""
    return bool(((labels_MC == POSITIVE) | (labels_MC == NEGATIVE)).any())
