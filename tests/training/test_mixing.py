"""Mixtures of images, class-balanced draws and temperature: what a batch is made of, and what a model gives."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.study.complaints import assert_complains
from tests.training.bit_for_bit import through_a_file, without_times
from tests.training.digit_trials import config_of
from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.contract import Batch
from wsml_study.methods.creation import create_method
from wsml_study.methods.schedules import schedule
from wsml_study.study.data_section import Data
from wsml_study.study.training_section import Training
from wsml_study.training.class_balance import class_balanced_order, class_balanced_weights
from wsml_study.training.mixing import Mixing, mixed_images, mixed_labels
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrialData:
    whole = open_trial_data(Data(dataset="digit_scenes"), cache_dir=tmp_path_factory.mktemp("images"))
    few = {name: getattr(whole.train, name)[:128] for name in ("rows_M", "truth_MC", "observed_MC")}
    return replace(whole, train=replace(whole.train, **few))


def drawn(epoch: int = 1, **training: Any) -> Mixing:
    mixing = Mixing(Training(**training), 1000)
    mixing.begin(epoch)
    return mixing


class TestLogicMix:
    def test_labels_are_the_three_valued_or(self) -> None:
        for states in itertools.product((-1, 0, 1), repeat=3):
            expected = 1 if 1 in states else -1 if set(states) == {-1} else 0
            assert mixed_labels(torch.tensor(states, dtype=torch.int8)[None, :, None]).item() == expected

    def test_a_share_of_the_images_is_averaged_with_one_or_two_others(self) -> None:
        mixture = drawn(mixup="logicmix", mixup_share=0.7).mixture(torch.arange(1000), 0)
        counts_B = (mixture.shares_BK > 0).sum(1)
        assert [int((counts_B == count).sum()) for count in (1, 2, 3)] == pytest.approx([300, 350, 350], abs=50)
        torch.testing.assert_close(mixture.shares_BK.sum(1), torch.ones(1000))
        for row, shares, count in zip(mixture.rows_BK, mixture.shares_BK, counts_B, strict=True):
            torch.testing.assert_close(shares[:count], torch.full((int(count),), 1 / int(count)))
            assert (row[count:] == row[0]).all()

    def test_pixels_are_the_weighted_mean(self) -> None:
        images_NchW = np.random.default_rng(0).integers(0, 256, (1000, 1, 4, 4), dtype=np.uint8)
        mixture = drawn(mixup="logicmix").mixture(torch.arange(30), 0)
        fetched = torch.from_numpy(images_NchW[mixture.fetched_M.numpy()])
        expected = np.einsum("bkchw,bk->bchw", images_NchW[mixture.rows_BK.numpy()], mixture.shares_BK.numpy())
        found = mixed_images(fetched, mixture.places_BK, mixture.shares_BK)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-3)
        assert len(fetched) < 30 * 3  # nothing is fetched twice for images that are not mixed

    def test_what_an_image_is_mixed_with_depends_on_epoch_and_image_alone(self) -> None:
        whole = drawn(mixup="logicmix").mixture(torch.arange(20), 0)
        part = drawn(mixup="logicmix").mixture(torch.arange(1, 20, 2), 3)
        assert torch.equal(whole.rows_BK[1::2], part.rows_BK)
        assert torch.equal(whole.shares_BK[1::2], part.shares_BK)
        assert not torch.equal(whole.rows_BK, drawn(2, mixup="logicmix").mixture(torch.arange(20), 0).rows_BK)


class TestMixup:
    def test_a_batch_has_one_share_of_the_beta_distribution(self) -> None:
        mixing = drawn(mixup="mixup", mixup_alpha=1.0)
        mixtures = [mixing.mixture(torch.arange(4), batch) for batch in range(400)]
        shares = np.array([one.second_share for one in mixtures], dtype=float)
        assert shares.min() >= 0
        assert shares.max() <= 0.5
        assert shares.mean() == pytest.approx(0.25, abs=0.03)  # the smaller part of a uniform draw
        for one in mixtures[:5]:
            np.testing.assert_allclose(one.shares_BK, [[1 - (one.second_share or 0), one.second_share]] * 4, rtol=1e-6)

    def test_the_loss_is_that_of_both_labels_by_their_shares(self, data: TrialData) -> None:
        """In NumPy, of one batch of assume-negative."""
        config = config_of("AN", mixup="mixup", mixup_alpha=1.0, batch_size=128)
        trial = TrialTraining(config, data)
        [batch] = trial.optimization.batches(1)
        assert batch.second is not None
        with torch.no_grad():
            logits_BC = trial.classifier.train()(batch.inputs).double().numpy()
        losses = []
        for labels_BC in (batch.labels_BC, batch.second.labels_BC):
            sign_BC = np.where(labels_BC.numpy() == 1, 1, -1)
            losses.append(np.log1p(np.exp(-sign_BC * logits_BC)).mean())
        expected = losses[0] * (1 - batch.second.share) + losses[1] * batch.second.share
        assert trial.run_epoch().train_loss == pytest.approx(expected, rel=1e-5)


def test_classes_are_drawn_equally_often() -> None:
    labels_NC = np.zeros((1000, 3), dtype=np.int8)
    labels_NC[:900, 0], labels_NC[900:990, 1], labels_NC[980:1000, 2] = 1, 1, 1
    weights_N = class_balanced_weights(torch.from_numpy(labels_NC))
    order_N = class_balanced_order(weights_N, seed=0, epoch=1).numpy()
    assert [labels_NC[order_N, c].mean() for c in range(2)] == pytest.approx([1 / 3, 1 / 3 + 0.5 / 3], abs=0.06)
    assert np.array_equal(order_N, class_balanced_order(weights_N, seed=0, epoch=1))
    assert not np.array_equal(order_N, class_balanced_order(weights_N, seed=0, epoch=2))


@pytest.mark.parametrize(
    "recipe", [{"mixup": "logicmix", "sampling": "class_balanced", "temperature": 3.0}, {"mixup": "mixup"}]
)
def test_a_resumed_trial_goes_on_to_the_last_bit(data: TrialData, recipe: dict[str, Any]) -> None:
    config = config_of("LL-R", epochs=3, rand_augment=1, dropout=0.2, **recipe)
    whole, first, second = (TrialTraining(config, data) for _ in range(3))
    results = [without_times(whole.run_epoch()) for _ in range(3)]
    first.run_epoch()
    second.load_state_dict(through_a_file(first.state_dict()))
    assert [without_times(second.run_epoch()) for _ in range(2)] == results[1:]
    for name, tensor in whole.classifier.state_dict().items():
        assert torch.equal(tensor, second.classifier.state_dict()[name])


def test_a_model_gives_the_logits_at_the_temperature(data: TrialData) -> None:
    trial = TrialTraining(config_of("AN", temperature=4.0, epochs=1), data, keep_best=True)
    trial.run_epoch()
    scores_MC = trial.evaluation.scores("validation")
    kept = {name: tensor.clone() for name, tensor in trial.classifier.state_dict().items()}
    plain = TrialTraining(config_of("AN", epochs=1), data)
    plain.classifier.load_state_dict(safetensors.torch.load(trial.best_weights_safetensors()))
    torch.testing.assert_close(plain.evaluation.scores("validation"), scores_MC)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in trial.classifier.state_dict().items())


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_looks_up_labels_by_image_says_so(name: str) -> None:
    record = METHODS[name]
    labels_NC = torch.tensor([[1, 0, -1], [0, 1, 0]], dtype=torch.int8)
    method = create_method(
        name,
        labels_NC=labels_NC,
        schedule=schedule("linear", rate_per_epoch=0.1) if record.takes_schedule else None,
        scores_NC=torch.full((2, 3), 0.4) if record.takes_scores else None,
        dataset="voc2012",
    )
    method.start_epoch(1, 2)
    batch = Batch(
        logits_BC=torch.zeros(2, 3, requires_grad=True),
        labels_BC=labels_NC,
        indices_B=None,  # type: ignore[arg-type]
        epoch=1,
        epochs=2,
        num_images=2,
        views={view: torch.zeros(2, 3) for view in record.takes_views},
    )
    if record.by_image:
        with pytest.raises((AttributeError, TypeError)):
            method(batch)
    else:
        method(batch)


def test_mixtures_are_refused_for_such_methods(tmp_path: Path) -> None:
    assert_complains(
        tmp_path,
        "name: s\ndata: {dataset: digit_scenes}\nmethod: {name: ROLE}\ntraining: {mixup: logicmix}\n",
        "4:19  training.mixup: method ROLE looks up labels by training image, and a mixture is none of them; it goes "
        "with " + ", ".join(name for name, one in METHODS.items() if not one.by_image and not one.takes_views),
    )
