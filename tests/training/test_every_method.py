"""Every method trains a trial on scenes of digits, and a trial that was saved and loaded goes on bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.bit_for_bit import through_a_file, without_times
from tests.training.digit_trials import config_of
from wsml_study.errors import TrainingError
from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.large_loss_entry import VARIANTS
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.model_section import Model
from wsml_study.training.randomness import mirrored_in_prediction
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data

NUM_TRAIN, NUM_VALIDATION = 90, 60

EARLY: dict[str, dict[str, Any]] = {
    "EM+APL": {"warmup_epochs": 2},
    "MIME": {"warmup_epochs": 1, "positive_threshold": 0.3},
    "IGNORE": {"warmup_epochs": 1},
}
"""So that the method has something to remember when the trial is saved, after two of four epochs."""

SETTINGS = [
    *((name, EARLY.get(name, {}), None) for name in METHODS),
    *((name, {"variant": variant}, None) for name in ("LL-R", "LL-Cp") for variant in VARIANTS if variant != "code"),
    *((name, EARLY.get(name, {}), "boostlu") for name in ("AN", "LL-Cp", "ROLE", "EM+APL")),
]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> TrialData:
    """Some of the scenes; one positive and one negative observed, since IU asks for some."""
    observe = Data(dataset="digit_scenes", observe=Observe(positives=1, negatives=1))
    data = open_trial_data(observe, cache_dir=tmp_path_factory.mktemp("store"))
    train, validation = (
        replace(split, rows_M=split.rows_M[:n], truth_MC=split.truth_MC[:n], observed_MC=split.observed_MC[:n])
        for split, n in ((data.train, NUM_TRAIN), (data.validation, NUM_VALIDATION))
    )
    scores_MC = np.random.RandomState(0).rand(*train.observed_MC.shape).astype(np.float32)
    return replace(data, train=train, validation=validation, scores_MC=scores_MC)


@pytest.mark.parametrize(("name", "values", "head"), SETTINGS)
def test_save_load_go_on_equals_going_on_bit_for_bit(
    name: str, values: dict[str, Any], head: str | None, scenes: TrialData
) -> None:
    config = config_of(name, values, head)
    straight = TrialTraining(config, scenes)
    curve = [without_times(straight.run_epoch()) for _ in range(4)]
    interrupted = TrialTraining(config, scenes)
    assert [without_times(interrupted.run_epoch()) for _ in range(2)] == curve[:2]
    state = through_a_file(interrupted.state_dict())
    torch.manual_seed(99)  # whatever ran in this process in between
    resumed = TrialTraining(config, scenes)
    resumed.load_state_dict(state)
    assert [without_times(resumed.run_epoch()) for _ in range(2)] == curve[2:]
    for part in ("classifier", "method"):
        one, other = straight.state_dict()[part], resumed.state_dict()[part]
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_falls(name: str, scenes: TrialData) -> None:
    """On few scenes and a loss that does not itself change from epoch to epoch: the first epochs of every method."""
    unchanged = {"warmup_epochs": 4} if name == "CRISP" else {}  # AN so far; its own loss is on another scale
    trial = TrialTraining(config_of(name, unchanged, learning_rate=3e-3), scenes)
    losses = [trial.run_epoch().train_loss for _ in range(4)]
    assert losses[-1] < losses[0]


def test_roles_estimate_learns_beside_the_classifier(scenes: TrialData) -> None:
    trial = TrialTraining(config_of("ROLE"), scenes)
    theta = trial.method.state_dict()["theta_NC"].clone()
    assert [group["lr"] for group in trial.optimizer.param_groups] == pytest.approx([1e-3, 1e-2, 1e-2])
    trial.run_epoch()
    assert not torch.equal(trial.method.state_dict()["theta_NC"], theta)


def test_soft_labels_are_what_the_classifier_predicts_at_the_end_of_the_epoch(scenes: TrialData) -> None:
    trial = TrialTraining(config_of("EM+APL", {"warmup_epochs": 1, "pseudo_label_share": 1.0}), scenes)
    trial.run_epoch()
    soft_NC = trial.method.state_dict()["soft_NC"]
    labelled = soft_NC >= 0
    assert labelled.any()
    torch.testing.assert_close(soft_NC[labelled], trial.evaluation.scores("train").sigmoid()[labelled])


def test_soft_labels_of_mirrored_images_are_what_the_classifier_predicts_of_these(scenes: TrialData) -> None:
    values = {"warmup_epochs": 1, "pseudo_label_share": 1.0, "pseudo_label_mirroring": True}
    trial = TrialTraining(config_of("EM+APL", values), replace(scenes, horizontal_flip=True))
    trial.run_epoch()
    mirrored = mirrored_in_prediction(len(scenes.train), seed=trial.config.training.seed, epoch=1)
    assert 0.3 < mirrored.double().mean() < 0.7
    images_NcHW = torch.from_numpy(scenes.train.images_NcHW[scenes.train.rows_M].copy())
    images_NcHW[mirrored] = images_NcHW[mirrored].flip(-1)
    with torch.inference_mode():
        expected = trial.classifier.eval()(images_NcHW).sigmoid()
    soft_NC = trial.method.state_dict()["soft_NC"]
    labelled = soft_NC >= 0
    torch.testing.assert_close(soft_NC[labelled], expected[labelled])
    unmirrored = trial.evaluation.scores("train").sigmoid()
    assert not torch.allclose(soft_NC[labelled], unmirrored[labelled])


def test_soft_labels_of_mirrored_images_need_mirrored_images(scenes: TrialData) -> None:
    config = config_of("EM+APL", {"pseudo_label_mirroring": True})
    with pytest.raises(TrainingError, match=r"method EM\+APL: it is to predict mirrored images.*horizontal_flip: true"):
        TrialTraining(config, scenes)


def test_the_defaults_of_the_dataset_are_taken(scenes: TrialData) -> None:
    assert TrialTraining(config_of("EPR"), scenes).method.expected_positives == 2.2
    assert TrialTraining(config_of("EPR", {"expected_positives": 2.0}), scenes).method.expected_positives == 2.0


def test_a_method_that_cannot_learn_from_these_labels_says_so(scenes: TrialData) -> None:
    train = replace(scenes.train, observed_MC=scenes.train.observed_MC.clip(min=0))
    with pytest.raises(TrainingError, match=r"method: IU .* set data\.observe\.negatives to 1 or more"):
        TrialTraining(config_of("IU"), replace(scenes, train=train))


def test_a_head_that_the_backbone_cannot_have_says_so(scenes: TrialData) -> None:
    config = config_of("AN").model_copy(update={"model": Model(backbone="vgg11", head="boostlu")})
    with pytest.raises(TrainingError, match=r"model\.head: boostlu needs"):
        TrialTraining(config, scenes)
