"""Epoch metrics against scikit-learn, and what a trial makes of an objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics

from tests.training.striped_trials import config_of, small_data
from wsml_study.study.method_section import MethodName
from wsml_study.study.metric_record import METRICS
from wsml_study.study.objective_section import Objective
from wsml_study.training.epoch_metrics import objective_of
from wsml_study.training.trial import TrialTraining

DRAW = np.random.RandomState(0)
TRUTH = (DRAW.rand(60, 5) < [0.5, 0.4, 0.3, 0.2, 0.05]).astype(int)
SCORES = (TRUTH + DRAW.randn(60, 5)).astype(np.float32) - 0.5
BY_CLASS = metrics.average_precision_score(TRUTH, SCORES, average=None)
CHOSEN = SCORES > 0
PRECISION, RECALL = (
    one(TRUTH, CHOSEN, average="macro", zero_division=0) for one in (metrics.precision_score, metrics.recall_score)
)

EXPECTED = {
    "map": 100 * BY_CLASS.mean(),
    "micro_ap": 100 * metrics.average_precision_score(TRUTH, SCORES, average="micro"),
    "of1": 100 * metrics.f1_score(TRUTH, CHOSEN, average="micro"),
    "cf1": 100 * 2 * PRECISION * RECALL / (PRECISION + RECALL),
    "ranking_loss": metrics.label_ranking_loss(TRUTH, SCORES),
    "coverage": metrics.coverage_error(TRUTH, SCORES),
}
TOP_3 = np.take_along_axis(TRUTH, np.argsort(-SCORES)[:, :3], axis=1).sum(1)


def value_of(**objective) -> float | None:
    labels_MC = torch.from_numpy(2 * TRUTH - 1).to(torch.int8)
    return objective_of(Objective.model_validate(objective), torch.from_numpy(SCORES), labels_MC)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_metric_is_what_scikit_learn_says(name: str) -> None:
    assert value_of(metric=f"best_val_{name}") == pytest.approx(EXPECTED[name], rel=1e-6)


def test_one_error_counts_images_whose_top_label_is_negative() -> None:
    some = TRUTH.any(1)
    wrong = TRUTH[np.arange(60), SCORES.argmax(1)][some] == 0
    assert value_of(metric="last_val_one_error") == pytest.approx(wrong.mean())


def test_precision_and_recall_at_k_are_those_of_the_sorted_labels() -> None:
    assert value_of(metric="best_val_precision_at_k") == pytest.approx(100 * TOP_3.mean() / 3)
    some = TRUTH.any(1)
    assert value_of(metric="last_val_recall_at_k") == pytest.approx(100 * (TOP_3 / TRUTH.sum(1).clip(1))[some].mean())
    wrong = value_of(metric="best_val_one_error")
    of_all = value_of(metric="best_val_precision_at_k", k=1)
    assert of_all == pytest.approx(100 * (1 - wrong) * some.mean())


def test_classes_with_few_positives_are_left_out_of_the_mean() -> None:
    often = TRUTH.sum(0) >= 10
    assert not often.all()
    assert value_of(min_positives=10) == pytest.approx(100 * BY_CLASS[often].mean(), rel=1e-6)


def test_every_metric_that_there_is_has_an_expected_value_here() -> None:
    assert set(METRICS) == {*EXPECTED, "one_error", "precision_at_k", "recall_at_k"}


def test_the_best_epoch_is_that_of_the_objective() -> None:
    config = config_of(MethodName.AN)
    config = config.model_copy(update={"objective": Objective.model_validate({"metric": "best_val_ranking_loss"})})
    trial = TrialTraining(config, small_data(), keep_best=True)
    results = [trial.run_epoch() for _ in range(4)]
    losses = [result.objective for result in results]
    assert results[-1].best_objective == min(losses)
    assert results[-1].best_epoch == 1 + losses.index(min(losses))
    assert results[-1].best_val_map == results[results[-1].best_epoch - 1].val_map


def test_a_trial_ends_once_its_objective_has_fallen_too_far_below_its_best() -> None:
    config = config_of(MethodName.AN)
    free = TrialTraining(config, small_data())
    values = [free.run_epoch().objective for _ in range(8)]
    falls = [max(values[: n + 1]) - value for n, value in enumerate(values)]
    limit = max(falls) / 2
    assert limit > 0
    training = config.training.model_copy(update={"stop_below_best": limit})
    trial = TrialTraining(config.model_copy(update={"training": training}), small_data())
    ends = [trial.run_epoch().ends_trial for _ in range(8)]
    assert ends == [fall > limit for fall in falls]
    assert any(ends)
