"""Means over the classes that `objective.classes` counts, in an epoch and a test of a trial, against scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_score, recall_score

from tests.training.head_trials import config_of, write_features
from wsml_study.study.objective_section import Objective
from wsml_study.study.spec import TrialConfig
from wsml_study.training.epoch_metrics import objective_of
from wsml_study.training.ranking_metrics import metrics_beside_map
from wsml_study.training.scoring import map_and_ap
from wsml_study.training.stacked_heads import FusedTraining
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data

DRAW = np.random.RandomState(3)
TRUTH = (DRAW.rand(40, 6) < [0.5, 0.4, 0.2, 0.1, 0.0, 0.0]).astype(int)
"""The last two classes have no positive, the third and fourth few."""

SCORES = (TRUTH + DRAW.randn(40, 6)).astype(np.float32)
LABELS = torch.from_numpy(2 * TRUTH - 1).to(torch.int8)
NUM_POSITIVE = TRUTH.sum(0)
AP = [average_precision_score(TRUTH[:, c], SCORES[:, c]) if NUM_POSITIVE[c] else 0.0 for c in range(6)]
CHOICES = {"all": 0, "present": 1, "min_positives": int(NUM_POSITIVE[2])}


def objective(choice: str, **more: str) -> Objective:
    classes = {choice: CHOICES[choice]} if choice == "min_positives" else choice
    return Objective.model_validate({"classes": classes, **more})


def counted(choice: str) -> np.ndarray:
    return np.flatnonzero(CHOICES[choice] <= NUM_POSITIVE)


@pytest.mark.parametrize(("choice", "number"), [("all", 6), ("present", 4), ("min_positives", 3)])
def test_map_is_the_mean_over_the_classes_that_count(choice: str, number: int) -> None:
    least = objective(choice).least_positives
    mean, ap_C = map_and_ap(torch.from_numpy(SCORES), LABELS.numpy(), least_positives=least)
    where = counted(choice)
    assert len(where) == number
    assert mean == pytest.approx(100 * np.mean([AP[c] for c in where]), rel=1e-6)
    assert [c for c, ap in enumerate(ap_C) if ap is not None] == where.tolist()


@pytest.mark.parametrize("choice", CHOICES)
def test_cf1_is_of_the_classes_that_count(choice: str) -> None:
    where, chosen = counted(choice), SCORES > 0
    precision, recall = (
        score(TRUTH[:, where], chosen[:, where], average="macro", zero_division=0)
        for score in (precision_score, recall_score)
    )
    cf1 = 2 * precision * recall / (precision + recall)
    of_epoch = objective_of(objective(choice, metric="best_val_cf1"), torch.from_numpy(SCORES), LABELS)
    assert of_epoch == pytest.approx(100 * cf1)
    least = objective(choice).least_positives
    of_test = metrics_beside_map(torch.from_numpy(SCORES), LABELS, least_positives=least)
    assert of_test["class_f1"] == pytest.approx(cf1)
    every = metrics_beside_map(torch.from_numpy(SCORES), LABELS)
    for name in ("overall_f1", "ranking_loss", "coverage", "one_error", "precision_at_3", "recall_at_1"):
        assert of_test[name] == every[name], "not a mean over classes"


def test_metrics_over_images_take_all_classes() -> None:
    value, expected = (
        objective_of(objective(choice, metric="best_val_one_error"), torch.from_numpy(SCORES), LABELS)
        for choice in ("present", "all")
    )
    assert value == expected


def test_without_a_class_that_counts_there_is_no_value() -> None:
    absent = -torch.ones_like(LABELS)
    assert map_and_ap(torch.from_numpy(SCORES), absent.numpy(), least_positives=1) == (None, (None,) * 6)
    assert map_and_ap(torch.from_numpy(SCORES), absent.numpy(), least_positives=0) == (0.0, (0.0,) * 6)
    for metric in ("best_val_map", "best_val_cf1"):
        assert objective_of(objective("present", metric=metric), torch.from_numpy(SCORES), absent) is None


def test_an_unannotated_label_is_no_positive() -> None:
    labels = LABELS.clone()
    labels[:, 0] = torch.where(labels[:, 0] == 1, 0, labels[:, 0])
    _, ap_C = map_and_ap(torch.from_numpy(SCORES), labels.numpy(), least_positives=1)
    assert ap_C[0] is None


def without_class(data: TrialData, split: str, label: int) -> TrialData:
    """The data with a class that no image of a split shows."""
    images = getattr(data, split)
    truth_MC, observed_MC = images.truth_MC.copy(), images.observed_MC.copy()
    truth_MC[:, label], observed_MC[:, label] = -1, np.minimum(observed_MC[:, label], 0)
    return replace(data, **{split: replace(images, truth_MC=truth_MC, observed_MC=observed_MC)})


def config(folder: Path, choice: str | None, **training: object) -> TrialConfig:
    found = config_of(write_features(folder), "AN", **training)
    return found.model_copy(update={"objective": Objective() if choice is None else objective(choice)})


def data_of(of: TrialConfig) -> TrialData:
    return without_class(without_class(open_trial_data(of.data), "validation", 1), "test", 2)


def test_a_trial_reports_means_over_the_classes_of_each_split(tmp_path: Path) -> None:
    present = config(tmp_path, "present")
    trial = TrialTraining(present, data_of(present), keep_best=True)
    result, tested = trial.run_epoch(), trial.test()
    known = [ap for ap in result.val_ap_C if ap is not None]
    assert result.val_ap_C[1] is None
    assert len(known) == tested.num_val_classes == 3
    assert result.val_map == result.objective == pytest.approx(np.mean(known))
    assert result.val_map_observed is not None
    assert tested.test_ap_C[2] is None
    assert tested.test_map == pytest.approx(np.mean([ap for ap in tested.test_ap_C if ap is not None]))


def test_all_classes_and_a_config_without_the_key_give_the_same_figures(tmp_path: Path) -> None:
    """What trials of earlier versions reported: the mean with a 0 for the class that no image shows."""
    results = []
    for choice in (None, "all"):
        of = config(tmp_path, choice)
        trial = TrialTraining(of, data_of(of), keep_best=True)
        results.append((trial.run_epoch(), trial.test()))
    (epoch, test), (epoch_of_all, test_of_all) = results
    assert (epoch.val_map, epoch.val_ap_C, epoch.objective) == (
        epoch_of_all.val_map,
        epoch_of_all.val_ap_C,
        epoch_of_all.objective,
    )
    assert test == test_of_all
    assert epoch.val_ap_C[1] == 0
    assert epoch.val_map == pytest.approx(np.sum(epoch.val_ap_C) / 4)


def test_heads_trained_together_report_what_each_would_alone(tmp_path: Path) -> None:
    configs = [config(tmp_path, choice, seed=seed) for seed, choice in enumerate(("present", "all", "present"))]
    alone = [TrialTraining(one, data_of(one)).run_epoch() for one in configs]
    trials = [TrialTraining(one, data_of(one)) for one in configs]
    together = {id(trial): result for trial, result in FusedTraining(trials).run_epoch()}
    for trial, expected in zip(trials, alone, strict=True):
        found = together[id(trial)]
        for name in ("val_map", "val_map_true", "val_map_observed", "objective"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-5), name
        assert [ap is None for ap in found.val_ap_C] == [ap is None for ap in expected.val_ap_C]
    assert [trial.val_ap_C[1] for trial in alone] == [None, 0.0, None]
