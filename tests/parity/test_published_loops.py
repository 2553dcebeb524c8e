"""Our training loop gives the losses and mAPs of the published loops; docs/parity.md says which, and how they were run.

`published_loops.json` holds numbers only. Both sides compute in double precision, on the images, initial weights,
orders and mirrored images of `loop_inputs.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.parity.loop_inputs import (
    BACKBONE,
    SEED,
    digest_of_orders,
    head_weights,
    loop_data,
    save_backbone,
    spread,
)
from wsml_study.study.data_section import Data
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_results import EpochResult

PUBLISHED: dict[str, Any] = json.loads((Path(__file__).parent / "published_loops.json").read_text())
TOLERANCE = 1e-7


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    """One thread: operations this small get slower with more."""
    num_threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_backbone(tmp_path_factory.mktemp("weights"))


def large_loss_of(name: str, variant: str | None = None, rate: float = 0.04) -> Method:
    """The rate is 4 % per epoch: 4 of 80 labels of a batch in the second epoch, 7 in the third."""
    if name == "AN":
        return Method(name="AN")
    return Method(name=name, schedule=Schedule(rate_per_epoch=rate), variant=variant)


def trial_of(weights: str, method: Method, *, head: str = "linear", **training: Any) -> TrialTraining:
    """A trial in double precision, with the initial head of the published runs."""
    config = TrialConfig(
        data=Data(dataset="digit_scenes"),
        model=Model(backbone=BACKBONE, weights=weights, head=head),
        method=method,
        training=Training(seed=SEED, **training),
    )
    trial = TrialTraining(config, loop_data(), keep_best=True)
    if training.get("mode") == "linear_init":
        inputs = trial.optimization.inputs
        for split in ("train", "validation"):
            inputs.features_of(split).features_MD = features_in_double(trial, split)
    weight_CD, bias_C = head_weights(trial.classifier.head.in_features)
    with torch.no_grad():
        trial.classifier.head.weight.copy_(weight_CD)
        trial.classifier.head.bias.copy_(bias_C)
    return trial


@torch.no_grad()
def features_in_double(trial: TrialTraining, split: str) -> Tensor:
    """Features of the frozen backbone, which are float32 otherwise."""
    classifier = trial.classifier.eval()
    return classifier.features(torch.from_numpy(trial.data.split(split).images_NcHW))


def run(trial: TrialTraining) -> list[EpochResult]:
    results = []
    for _ in range(trial.config.training.total_epochs):
        results.append(trial.run_epoch())
        if results[-1].ends_trial:
            break
    return results


def assert_equal(results: list[EpochResult], published: dict[str, Any]) -> None:
    """Mean losses and validation mAPs of all epochs."""
    assert [result.train_loss for result in results] == equal(published["losses"])
    assert [result.val_map for result in results] == equal(published["val_maps"])


def equal(figures: Any) -> Any:
    return pytest.approx(figures, rel=TOLERANCE, abs=TOLERANCE)


OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.002, "weight_decay": 0.001},
    "adam": {"optimizer": "adam", "learning_rate": 2e-4},
}
COLE = {"batch_size": 20, "head_learning_rate_multiplier": 1.0}


def test_orders_and_mirrored_images_are_those_of_the_published_runs() -> None:
    """If this fails, torch draws other random numbers than before, and all figures have to be made anew."""
    assert digest_of_orders(8) == PUBLISHED["orders"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["AN", "LL-R", "LL-Ct", "LL-Cp"])
def test_end_to_end(weights: str, name: str, optimizer: str) -> None:
    trial = trial_of(weights, large_loss_of(name, "as_published"), epochs=3, **OPTIMIZERS[optimizer])
    results = run(trial)
    published = PUBLISHED["end_to_end"][f"{name} {optimizer}"]
    assert_equal(results, published)
    assert results[-1].best_epoch == published["best_epoch"]
    assert trial.test().test_map == equal(published["test_map"])
    if name == "LL-Cp":
        num_positive = (trial.optimization.labels.labels_NC == 1).sum() + trial.method.corrected_NC.sum()
        assert num_positive == published["num_positive"]


@pytest.mark.parametrize(
    ("name", "training"),
    [
        ("LL-R", {"optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 0.001}),
        ("LL-Ct", {"optimizer": "adam", "learning_rate": 0.002}),
    ],
)
def test_stop_three_points_below_the_best(weights: str, name: str, training: dict[str, Any]) -> None:
    published = PUBLISHED["stopped"][f"{name} {training['optimizer']}"]
    trial = trial_of(weights, large_loss_of(name, rate=0.042), epochs=8, stop_below_best=3.0, **training)
    results = run(trial)
    assert_equal(results, published)
    assert len(results) < 8
    assert trial.test().test_map == equal(published["test_map"])


@pytest.mark.parametrize("name", ["LL-R", "LL-Ct", "LL-Cp"])
def test_boostlu(weights: str, name: str) -> None:
    trial = trial_of(weights, large_loss_of(name, "code"), head="boostlu", epochs=3, **OPTIMIZERS["adam"])
    assert_equal(run(trial), PUBLISHED["boostlu"][name])


@pytest.mark.parametrize("hand_over", ["best", "last"])
@pytest.mark.parametrize(("name", "optimizer"), [("LL-R", "sgd"), ("LL-Cp", "sgd"), ("AN", "adam"), ("LL-Ct", "adam")])
def test_linear_init(weights: str, name: str, optimizer: str, hand_over: str) -> None:
    published = PUBLISHED["linear_init"][f"{name} {optimizer}"]
    rate = {"sgd": 0.05, "adam": 0.02}[optimizer]
    phases = {"mode": "linear_init", "linear_epochs": 4, "linear_learning_rate": rate, "epochs": 3}
    phases |= {"hand_over": hand_over}
    trial = trial_of(weights, large_loss_of(name, "as_published"), **phases, **OPTIMIZERS[optimizer])
    results = run(trial)
    assert_equal(results[:4], published["linear"])
    assert_equal(results[4:], published[hand_over])
    if hand_over == "best":  # the best epoch is one of those that follow the probe
        maps = published["best"]["val_maps"]
        assert results[-1].best_epoch == 5 + maps.index(max(maps))


def test_linear_init_of_an(weights: str) -> None:
    phases = {"mode": "linear_init", "linear_epochs": 4, "linear_learning_rate": 0.03, "epochs": 3}
    phases |= {"hand_over": "best"}
    trial = trial_of(weights, Method(name="AN"), **phases, **OPTIMIZERS["adam"] | COLE)
    assert_equal(run(trial), PUBLISHED["cole"]["an linear_init"])


def test_an_of_cole(weights: str) -> None:
    trial = trial_of(weights, Method(name="AN"), epochs=3, **OPTIMIZERS["adam"] | COLE)
    assert_equal(run(trial), PUBLISHED["cole"]["an"])


def test_role_with_its_estimates(weights: str) -> None:
    """Equal if the published code, like ours, keeps the estimates of observed labels; close if it learns them."""
    trial = trial_of(weights, Method(name="ROLE", expected_positives=1.5), epochs=3, learning_rate=2e-3, **COLE)
    theta_NC = trial.method.get_parameter("theta_NC")
    theta_NC.data.copy_(math.log(1.5) * spread(theta_NC.shape, 0.3))
    unobserved_NC = trial.optimization.labels.labels_NC == 0
    results, estimates = [], []
    for _ in range(3):
        results.append(trial.run_epoch())
        estimates_NC = torch.where(unobserved_NC, theta_NC.detach().sigmoid(), 0.995)
        estimates.append((estimates_NC * spread(theta_NC.shape, 0.5)).sum().item())
    assert_equal(results, PUBLISHED["cole"]["role, observed fixed"])
    assert estimates == equal(PUBLISHED["cole"]["role, observed fixed"]["estimates"])
    learnt = PUBLISHED["cole"]["role"]
    assert [result.train_loss for result in results] == pytest.approx(learnt["losses"], abs=3e-3)


def test_em_with_pseudo_labels(weights: str) -> None:
    options = {"entropy_weight": 0.2, "pseudo_label_weight": 0.9, "warmup_epochs": 2}
    trial = trial_of(weights, Method(name="EM+APL", **options), epochs=4, **OPTIMIZERS["adam"] | COLE)
    published = PUBLISHED["em_apl"]["eps 0"]
    results = []
    for epoch in range(1, 5):
        results.append(trial.run_epoch())
        soft = trial.method.soft_NC[trial.method.soft_NC >= 0]
        if epoch < 4:  # theirs labels once more after the last epoch
            assert [len(soft), soft.sum().item()] == equal(published["soft"][epoch - 1])
    assert_equal(results, published)


def test_gr(weights: str) -> None:
    results = run(trial_of(weights, Method(name="GR"), epochs=3, **OPTIMIZERS["adam"]))
    assert_equal(results, PUBLISHED["gr"]["eps 0"])
    assert [result.train_loss for result in results] == pytest.approx(PUBLISHED["gr"]["eps 1e-7"]["losses"], abs=1e-6)
