"""Linear probes trained together learn what each would have learnt on its own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.bit_for_bit import through_a_file
from tests.training.head_trials import NUM_EPOCHS, assert_equal, assert_same, config_of, one_by_one, write_features
from tests.training.small_backbone import small_model, striped_photos
from wsml_study.errors import TrainingError
from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.creation import WITH_SCHEDULE
from wsml_study.methods.large_loss import PermanentCorrection
from wsml_study.methods.large_loss_entry import VARIANTS
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.spec import TrialConfig
from wsml_study.training.stacked_heads import FusedTraining, LinearProbeTraining
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data
from wsml_study.training.trial_results import EpochResult

OF_IMAGES = [name for name, record in METHODS.items() if record.takes_views]
CASES = [
    *(name for name in METHODS if name not in OF_IMAGES),
    *(f"{name} {variant}" for name in WITH_SCHEDULE for variant in VARIANTS if variant != "code"),
]
NUMBERS: dict[str, tuple[dict[str, Any], ...]] = {
    "WAN": ({"negative_weight": 0.3}, {"negative_weight": 0.7}),
    "LSAN": ({"smoothing": 0.05}, {"smoothing": 0.2}),
    "EPR": ({"expected_positives": 1.5}, {"expected_positives": 1.2}),
    "ROLE": ({"expected_positives": 1.5},) * 2,
    "ASL": ({"gamma_negative": 3.0}, {"gamma_negative": 1.0, "gamma_positive": 0.5}),
    "Hill": ({"gamma": 1.0}, {"gamma": 2.0, "hill_lambda": 1.7}),
    "SPLC": ({"positive_threshold": 0.55, "warmup_epochs": 1}, {"positive_threshold": 0.5, "warmup_epochs": 1}),
    "EM": ({"entropy_weight": 0.1}, {"entropy_weight": 0.3}),
    "EM+APL": (
        {"entropy_weight": 0.1, "warmup_epochs": 1, "pseudo_label_share": 0.5},
        {"entropy_weight": 0.2, "warmup_epochs": 2, "pseudo_label_share": 0.9},
    ),
    "CSL": ({"prior_threshold": 0.5},) * 2,
    "CRISP": ({"warmup_epochs": 1}, {"warmup_epochs": 2, "prior_tolerance": 0.2}),
    "PU-MLC": ({"pu_rebalance": 0.5}, {"pu_temperature": 0.4}),
    "VLPL": ({"score_threshold": 0.6}, {"score_threshold": 0.7, "given_positive_weight": 0.4}),
    "MIME": ({"positive_threshold": 0.5, "warmup_epochs": 1}, {"positive_threshold": 0.6, "warmup_epochs": 2}),
    "GPR": ({"expected_positives": 1.5}, {"expected_positives": 1.5, "penalty_weight": 0.1, "given_softness": 0.8}),
}
"""Two settings of each method that has numbers; of other methods only rates and seeds differ."""


SHAPES = [(4, 6, 17), (7, 33, 4), (20, 40, 8), (3, 9, 1)]
"""Classes, features, batch size: most of them no multiple of what a processor takes at once."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return write_features(tmp_path_factory.mktemp("given"))


def opened(configs: list[TrialConfig], **settings: Any) -> list[TrialTraining]:
    data = [open_trial_data(config.data) for config in configs]
    first = LinearProbeTraining(configs[0], data[0], **settings)
    others = zip(configs[1:], data[1:], strict=True)
    return [
        first,
        *(LinearProbeTraining(config, own, shares_features_with=first, **settings) for config, own in others),
    ]


def together(trials: list[TrialTraining], num_epochs: int = NUM_EPOCHS) -> list[list[Any]]:
    fused = FusedTraining(trials)
    curves: dict[int, list[Any]] = {id(trial): [] for trial in trials}
    for _ in range(num_epochs):
        for trial, result in fused.run_epoch():
            curves[id(trial)].append(result)
    return [curves[id(trial)] for trial in trials]


def weights_of(trial: TrialTraining) -> list[torch.Tensor]:
    return list(trial.state_dict()["classifier"].values())


def assert_equal_curves(ones: list[list[EpochResult]], others: list[list[EpochResult]]) -> None:
    for one, other in zip(ones, others, strict=True):
        for result, again in zip(one, other, strict=True):
            assert_equal(result, again)


@pytest.mark.parametrize("case", CASES)
def test_each_method_learns_the_same_stacked_and_on_its_own(case: str, given: Data) -> None:
    """Two of the method with other seeds, rates and numbers, beside one that cannot be stacked with them."""
    values = NUMBERS.get(case.partition(" ")[0], ({}, {}))
    configs = [
        config_of(given, case, values[0], seed=1, rate=0.02),
        config_of(given, "WAN", seed=3),
        config_of(given, case, values[1], seed=2, rate=0.05, learning_rate=1e-2, weight_decay=1e-3),
    ]
    assert_equal_curves(one_by_one(configs), together(opened(configs)))


@pytest.mark.parametrize("num_seeds", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_bit_depends_on_what_is_trained_beside(shape: tuple[int, int, int], num_seeds: int, tmp_path: Path) -> None:
    num_classes, num_features, batch_size = shape
    data = write_features(tmp_path, num_images=30 + 5 * batch_size, num_classes=num_classes, num_features=num_features)
    configs = [
        config_of(data, case, values, seed=number % num_seeds, batch_size=batch_size, rate=0.01 * (1 + number))
        for number, (case, values) in enumerate(
            (case, values) for case in CASES for values in NUMBERS.get(case.partition(" ")[0], ({}, {}))
        )
    ]
    trials = opened(configs, keep_best=True)
    for trial, curve in zip(trials, together(trials, 2), strict=True):
        alone = LinearProbeTraining(trial.config, open_trial_data(trial.config.data), keep_best=True)
        for result in curve:
            assert_same(result, alone.run_epoch())
        assert all(torch.equal(one, other) for one, other in zip(weights_of(trial), weights_of(alone), strict=True))


def test_all_methods_of_one_seed_and_several_optimizers_learn_together(given: Data) -> None:
    optimizers = ({}, {"optimizer": "sgd"}, {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.01})
    configs = [
        config_of(given, case, (NUMBERS.get(case) or ({},))[0], **optimizers[number % 3])
        for number, case in enumerate(CASES)
    ]
    assert_equal_curves(one_by_one(configs), together(opened(configs)))


def test_methods_that_cannot_be_stacked_learn_beside_the_others(given: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PermanentCorrection, "stacked_numbers", None)
    configs = [config_of(given, case, seed=seed) for seed, case in enumerate(("LL-Cp", "AN", "LL-Cp"))]
    assert_equal_curves(one_by_one(configs), together(opened(configs)))


@pytest.mark.parametrize(
    "labels",
    [("observed",) * 3, ("known",) * 3, ("estimated", "observed", "estimated"), ("clean", "known", "observed")],
)
def test_other_hidden_labels_are_each_trials_own(given: Data, labels: tuple[str, ...]) -> None:
    observe = Observe(positives=1, negatives=2)
    draws = [given.model_copy(update={"observe": observe.model_copy(update={"seed": seed})}) for seed in (1, 2, 2)]
    judged = [
        draw.model_copy(update={"validation": draw.validation.model_copy(update={"labels": choice})})
        for draw, choice in zip(draws, labels, strict=True)
    ]
    configs = [config_of(data, "LL-Cp", seed=seed) for seed, data in enumerate(judged)]
    assert_equal_curves(one_by_one(configs), together(opened(configs)))


def test_mirrored_features_are_taken_by_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "cache"))
    (tmp_path / "photos").mkdir()
    photos = striped_photos(tmp_path / "photos").model_copy(update={"observe": Observe()})
    model = small_model(tmp_path)
    soft = {"warmup_epochs": 1, "pseudo_label_weight": 1.0}
    settings = [("AN", {}), ("LL-R", {}), ("AN", {})]
    settings += [("EM+APL", soft | {"pseudo_label_mirroring": mirroring}) for mirroring in (True, True, False)]
    configs = [
        config_of(photos, case, values, seed=seed, mode="linear", mirror_features=True, model=model)
        for seed, (case, values) in enumerate(settings)
    ]
    trials = opened(configs)
    assert_equal_curves(one_by_one(configs), together(trials))
    alone = TrialTraining(configs[4], open_trial_data(photos))
    for _ in range(NUM_EPOCHS):
        alone.run_epoch()
    torch.testing.assert_close(trials[4].method.soft_NC, alone.method.soft_NC)
    with pytest.raises(TrainingError, match=r"set training\.mirror_features: true"):
        TrialTraining(config_of(photos, *settings[3], mode="linear", model=model), open_trial_data(photos))


def test_a_trial_that_diverges_fails_as_on_its_own_and_no_other_does(given: Data) -> None:
    configs = [
        config_of(given, "AN", seed=1),
        config_of(given, "AN", seed=1, optimizer="sgd", learning_rate=1e38),
        config_of(given, "LL-R", seed=1),
    ]
    first, bad, last = together(opened(configs))
    alone = TrialTraining(configs[1], open_trial_data(given))
    for _ in bad[:-1]:
        alone.run_epoch()
    with pytest.raises(TrainingError) as failure:
        alone.run_epoch()
    assert isinstance(bad[-1], TrainingError)
    assert str(bad[-1]) == str(failure.value)
    assert_equal_curves(one_by_one([configs[0], configs[2]]), [first, last])


@pytest.mark.parametrize("case", ["LL-Cp", "ROLE", "EM+APL", "CSL"])
def test_a_state_of_a_stacked_trial_resumes_on_its_own(case: str, given: Data) -> None:
    values = NUMBERS.get(case, ({}, {}))
    configs = [config_of(given, case, value, seed=seed) for seed, value in enumerate(values)]
    straight = one_by_one(configs)
    trials = opened(configs)
    together(trials, 2)
    for config, trial, curve in zip(configs, trials, straight, strict=True):
        state = trial.state_dict()
        tensors = [state["classifier"]["head.weight"], *state["method"].values()]
        assert all(tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size() for tensor in tensors)
        resumed = TrialTraining(config, open_trial_data(config.data))
        resumed.load_state_dict(through_a_file(state))
        for expected in curve[2:]:
            assert_equal(expected, resumed.run_epoch())


def test_a_trial_that_leaves_keeps_its_state_and_the_others_continue(given: Data) -> None:
    configs = [config_of(given, "LL-Cp", seed=seed) for seed in range(3)]
    straight = one_by_one(configs)
    trials = opened(configs)
    fused = FusedTraining(trials)
    fused.run_epoch()
    fused.leave(trials[1])
    rest = [{id(trial): result for trial, result in fused.run_epoch()} for _ in range(2)]
    assert [set(results) for results in rest] == [{id(trials[0]), id(trials[2])}] * 2
    for number in (0, 2):
        assert_equal(straight[number][2], rest[1][id(trials[number])])
    for expected in straight[1][1:]:
        assert_equal(expected, trials[1].run_epoch())


def test_the_best_weights_are_those_of_the_best_epoch(given: Data) -> None:
    configs = [config_of(given, "AN", seed=seed, learning_rate=0.3) for seed in range(3)]
    trials = opened(configs, keep_best=True)
    together(trials)
    for config, trial in zip(configs, trials, strict=True):
        alone = TrialTraining(config, open_trial_data(given), keep_best=True)
        for _ in range(NUM_EPOCHS):
            alone.run_epoch()
        one, other = trial.test(), alone.test()
        assert (one.best_epoch, one.test_ap_C) == (other.best_epoch, pytest.approx(other.test_ap_C))
        assert len(trial.best_weights_safetensors()) == len(alone.best_weights_safetensors())


def test_without_validation_images_there_is_no_validation_map(given: Data) -> None:
    data = given.model_copy(update={"train_on": "train+validation"})
    curves = together(opened([config_of(data, "AN", seed=seed) for seed in range(2)]))
    assert {(result.val_map, result.best_epoch) for curve in curves for result in curve} == {
        (None, epoch) for epoch in range(1, NUM_EPOCHS + 1)
    }
    assert all(math.isfinite(result.train_loss) for curve in curves for result in curve)
