"""One trial: its randomness, its state, its figures."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load
from sklearn.metrics import average_precision_score

from tests.training.bit_for_bit import through_a_file, without_times
from tests.training.striped_trials import METHODS, NUM_CLASSES, config_of, small_data, striped_images
from wsml_study.errors import TrainingError
from wsml_study.study.data_section import Data
from wsml_study.study.method_section import MethodName
from wsml_study.study.model_section import Model
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("name", METHODS)
def test_save_load_go_on_equals_going_on_bit_for_bit(name, optimizer):
    config, data = config_of(name, optimizer=optimizer), small_data()
    straight = TrialTraining(config, data, keep_best=True)
    curve = [without_times(straight.run_epoch()) for _ in range(4)]
    first = TrialTraining(config, data, keep_best=True)
    assert [without_times(first.run_epoch()) for _ in range(2)] == curve[:2]
    state = through_a_file(first.state_dict())
    torch.manual_seed(99)  # whatever ran in this process in between
    second = TrialTraining(config, data, keep_best=True)
    second.load_state_dict(state)
    assert [without_times(second.run_epoch()) for _ in range(2)] == curve[2:]
    for key, tensor in straight.classifier.state_dict().items():
        assert torch.equal(tensor, second.classifier.state_dict()[key]), key
    for key, tensor in straight.method.state_dict().items():
        assert torch.equal(tensor, second.method.state_dict()[key]), key
    assert straight.test() == second.test()
    assert straight.best_weights_safetensors() == second.best_weights_safetensors()


def test_full_labels_beat_the_observed_ones_on_false_negatives():
    full, assumed = (TrialTraining(config_of(name), small_data()) for name in (MethodName.FULL, MethodName.AN))
    for _ in range(6):
        full_result, assumed_result = full.run_epoch(), assumed.run_epoch()
    assert full_result.val_map > assumed_result.val_map
    assert full_result.loss_false_negative is None, "full labels leave no false negatives"
    assert assumed_result.loss_false_negative > assumed_result.loss_true_negative


def test_the_figures_of_an_epoch_are_what_they_say():
    trial = TrialTraining(config_of(MethodName.LL_R), small_data())
    first, second = trial.run_epoch(), trial.run_epoch()
    assert (first.epoch, first.rejection_rate, first.num_distrusted) == (1, 0.0, 0)
    assert first.distrust_precision is None
    assert second.rejection_rate == 0.05
    sizes = [16, 16, 16, 2]  # 50 images in batches of 16: k = ceil(0.05 * B * 4) in each
    assert second.num_distrusted == sum(math.ceil(0.05 * size * NUM_CLASSES) for size in sizes)
    assert 0 <= second.distrust_precision <= 1
    assert second.best_val_map == max(first.val_map, second.val_map)
    assert second.val_map == second.val_map_true == pytest.approx(np.mean(second.val_ap_C))


def test_the_judging_labels_are_the_study_s_choice():
    data = small_data()
    config = config_of(MethodName.AN)
    observed = config.data.validation.model_copy(update={"labels": "observed"})
    judged = config.model_copy(update={"data": config.data.model_copy(update={"validation": observed})})
    by_truth, by_observed = TrialTraining(config, data).run_epoch(), TrialTraining(judged, data).run_epoch()
    assert by_truth.val_map == by_truth.val_map_true == by_observed.val_map_true
    assert by_observed.val_map == by_observed.val_map_observed == by_truth.val_map_observed


def test_known_labels_leave_out_what_is_hidden():
    config, data = config_of(MethodName.AN), small_data()
    known = config.data.validation.model_copy(update={"labels": "known"})
    config = config.model_copy(update={"data": config.data.model_copy(update={"validation": known})})
    truth_MC = data.validation.truth_MC
    hidden_MC = (np.arange(truth_MC.size) % 3 == 0).reshape(truth_MC.shape)
    validation = dataclasses.replace(data.validation, observed_MC=np.where(hidden_MC, 0, truth_MC))
    trial = TrialTraining(config, dataclasses.replace(data, validation=validation))
    result = trial.run_epoch()
    scores_MC = trial.evaluation.scores("validation").double().numpy()
    by_hand = [
        100 * average_precision_score(validation.truth_MC[known_M, c] == 1, scores_MC[known_M, c])
        for c, known_M in enumerate((~hidden_MC).T)
        if (validation.observed_MC[:, c] == -1).any()  # a class that is only shown has no AP
    ]
    assert result.val_map == pytest.approx(np.mean(by_hand))
    assert result.objective == result.val_map != result.val_map_true


def test_the_test_judges_the_best_epoch_and_leaves_training_as_it_was():
    config, data = config_of(MethodName.AN), small_data()
    tested, untested = (TrialTraining(config, data, keep_best=True) for _ in range(2))
    tested.run_epoch()
    untested.run_epoch()
    result = tested.test()
    assert result.test_map == pytest.approx(np.mean(result.test_ap_C))
    assert without_times(tested.run_epoch()) == without_times(untested.run_epoch())
    weights = load(tested.best_weights_safetensors())
    assert set(weights) == set(tested.classifier.state_dict())


def test_a_diverging_trial_says_so():
    trial = TrialTraining(config_of(MethodName.AN, optimizer="sgd", learning_rate=1e30), small_data())
    with pytest.raises(TrainingError, match=r"in epoch 1: the trial diverged; lower the learning rate"):
        trial.run_epoch()


def test_a_state_of_another_config_is_refused():
    data = small_data()
    state = TrialTraining(config_of(MethodName.AN), data).state_dict()
    with pytest.raises(TrainingError, match="another config"):
        TrialTraining(config_of(MethodName.AN, seed=1), data).load_state_dict(state)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(backbone="resnet5"), "got 'resnet5'"),
        (Model(weights="IMAGENET1K_V1"), "small_cnn has no published weights"),
        (Model(backbone="resnet18", weights="IMAGENET1K_V9"), "resnet18 has IMAGENET1K_V1"),
        (Model(backbone="resnet18", weights="nowhere.pth"), "no file nowhere.pth"),
        (Model(backbone="resnet18", weights=__file__), "no weights"),
    ],
)
def test_a_model_that_cannot_be_had_is_named(model, message, tmp_path):
    if message == "no weights":
        path = tmp_path / "resnet18.pth"
        torch.save({"fc.weight": torch.zeros(3)}, path)
        model, message = Model(backbone="resnet18", weights=str(path)), "does not hold the weights of resnet18"
    config = config_of(MethodName.AN).model_copy(update={"model": model})
    with pytest.raises(TrainingError, match=message):
        TrialTraining(config, small_data())


def test_a_state_of_a_version_with_other_optional_keys_in_another_order_loads():
    config, data = config_of(MethodName.LL_R), small_data()
    state = TrialTraining(config, data).state_dict()
    content = json.loads(state["config"])
    content["method"] = {key: content["method"][key] for key in reversed(content["method"]) if key != "reduction"}
    other = state | {"config": json.dumps(content | {"training": content["training"] | {"later": None}})}
    TrialTraining(config, data).load_state_dict(other)
    TrialTraining(config, data).take_over(other, best_objective=None, best_val_map=None, best_epoch=0)


def test_the_head_learns_at_its_own_rate():
    trial = TrialTraining(config_of(MethodName.AN, head_learning_rate_multiplier=10.0), small_data())
    backbone, head = trial.optimizer.param_groups
    assert (backbone["lr"], head["lr"]) == (0.01, 0.1)
    assert sum(p.numel() for p in head["params"]) == 128 * NUM_CLASSES + NUM_CLASSES
    everything = {id(p) for p in trial.classifier.parameters()}
    assert {id(p) for group in (backbone, head) for p in group["params"]} == everything


def test_without_validation_images_the_last_epoch_is_the_best_and_it_goes_on_bit_for_bit():
    none_held_out = striped_images(0, 1)
    data = dataclasses.replace(small_data(), validation=none_held_out)
    config = config_of(MethodName.LL_CP)
    straight = TrialTraining(config, data, keep_best=True)
    results = [straight.run_epoch() for _ in range(4)]
    assert [(result.best_epoch, result.val_map, result.best_val_map) for result in results] == [
        (epoch, None, None) for epoch in range(1, 5)
    ]
    assert results[0].val_ap_C == (None,) * NUM_CLASSES
    first = TrialTraining(config, data, keep_best=True)
    first.run_epoch()
    second = TrialTraining(config, data, keep_best=True)
    second.load_state_dict(through_a_file(first.state_dict()))
    assert [without_times(second.run_epoch()) for _ in range(3)] == [without_times(result) for result in results[1:]]
    tested = straight.test()
    assert tested == second.test()
    assert tested.num_images == {"train": 50, "validation": 0, "test": 31}
    assert (tested.best_epoch, tested.best_val_map) == (4, None)
    last = straight.classifier.state_dict()
    assert all(torch.equal(tensor, last[key]) for key, tensor in load(straight.best_weights_safetensors()).items())


def test_a_test_says_what_images_the_classifier_takes():
    trial = TrialTraining(config_of(MethodName.AN), small_data(), keep_best=True)
    trial.run_epoch()
    assert trial.test().preprocessing == {"image_size": 16, "channels": 1, "mean": [0.5], "std": [0.5]}


def test_a_share_of_the_training_images_keeps_their_labels_and_the_other_splits():
    whole, part = (
        open_trial_data(Data(dataset="digit_scenes", train_share=share, validation={"labels": "observed"}))
        for share in (None, 0.1)
    )
    assert len(part.train) == round(0.1 * len(whole.train))
    at = np.searchsorted(whole.train.rows_M, part.train.rows_M)
    for of_whole, of_part in (
        (whole.train.rows_M[at], part.train.rows_M),
        (whole.train.observed_MC[at], part.train.observed_MC),
        (whole.validation.rows_M, part.validation.rows_M),
        (whole.validation.observed_MC, part.validation.observed_MC),
        (whole.test.truth_MC, part.test.truth_MC),
    ):
        np.testing.assert_array_equal(of_whole, of_part)
