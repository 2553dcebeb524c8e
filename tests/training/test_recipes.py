"""Recipes of optimization: what a step is, and that a resumed trial goes on to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.bit_for_bit import through_a_file, without_times
from tests.training.digit_trials import config_of
from wsml_study.data.label_files import FeatureFiles
from wsml_study.methods.contract import ALONE
from wsml_study.study.batching import can_train_together, is_linear_probe, is_stackable
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.model_section import Model
from wsml_study.study.training_section import RECIPE_KEYS, Training
from wsml_study.training.augmentation import Augmentation
from wsml_study.training.feature_dropout import FeatureDropout
from wsml_study.training.optimizer_steps import OptimizerSteps
from wsml_study.training.optimizers import optimizer_of
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data
from wsml_study.workers.loop import open_trial

EVERYTHING: dict[str, Any] = {
    "optimizer": "adamw",
    "weight_decay": 0.1,
    "learning_rate_schedule": "cosine",
    "learning_rate_warmup": 0.5,
    "gradient_clipping": 0.3,
    "accumulate": 3,
    "ema_decay": 0.9,
    "dropout": 0.3,
    "random_crop": 0.6,
    "cutout": 0.3,
    "rand_augment": 2,
    "rand_augment_magnitude": 5,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrialData:
    whole = open_trial_data(Data(dataset="digit_scenes"), cache_dir=tmp_path_factory.mktemp("images"))
    few = {name: getattr(whole.train, name)[:128] for name in ("rows_M", "truth_MC", "observed_MC")}
    return replace(whole, train=replace(whole.train, **few))


def weights_of(trial: TrialTraining) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trial.classifier.state_dict().items()}


class TestSteps:
    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3))

    def step(self, network: nn.Module, training: Training) -> torch.optim.Optimizer:
        optimizer = optimizer_of(training, [{"params": list(network.parameters()), "lr": training.learning_rate}])
        steps = OptimizerSteps(training, optimizer, network, epoch=1, epochs=2, steps_per_epoch=2)
        network(torch.ones(2, 4)).square().sum().backward()
        steps.step()
        return optimizer

    def test_adamw_decays_matrices_and_no_norms_or_biases(self) -> None:
        found, expected = self.network(), self.network()
        self.step(found, Training(optimizer="adamw", learning_rate=0.01, weight_decay=0.5))
        matrices = [one for one in expected.parameters() if one.ndim == 2]
        vectors = [one for one in expected.parameters() if one.ndim == 1]
        optimizer = torch.optim.AdamW(
            [{"params": matrices}, {"params": vectors, "weight_decay": 0}], lr=0.01, weight_decay=0.5
        )
        expected(torch.ones(2, 4)).square().sum().backward()
        optimizer.step()
        for one, other in zip(found.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(one, other)

    def test_what_decays_can_be_chosen_for_every_optimizer(self) -> None:
        for name in ("adam", "adamw", "sgd"):
            for what, groups in (("all", 1), ("weights", 2)):
                training = Training(optimizer=name, weight_decay=0.5, weight_decay_on=what)
                assert len(self.step(self.network(), training).param_groups) == groups
        assert len(self.step(self.network(), Training(weight_decay=0.5)).param_groups) == 1

    @pytest.mark.parametrize("longest", [0.01, 1e6])
    def test_clipping_is_torch_s(self, longest: float) -> None:
        found, expected = self.network(), self.network()
        self.step(found, Training(optimizer="sgd", momentum=0.0, learning_rate=0.1, gradient_clipping=longest))
        expected(torch.ones(2, 4)).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(expected.parameters(), longest)
        torch.optim.SGD(expected.parameters(), lr=0.1).step()
        for one, other in zip(found.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(one, other)

    def test_a_schedule_multiplies_the_rate_of_every_group(self) -> None:
        network = self.network()
        training = Training(learning_rate=0.1, learning_rate_schedule="one_cycle")
        [group] = self.step(network, training).param_groups
        assert group["initial_lr"] == 0.1
        assert group["lr"] == pytest.approx(0.1 / 25)
        assert group["betas"] == (0.95, 0.999)


def test_steps_of_several_batches_are_those_of_one_large_batch(data: TrialData) -> None:
    """Of a method whose loss is a mean over images; the last step has fewer batches."""
    trials = [
        TrialTraining(config_of("AN", optimizer="sgd", batch_size=size, accumulate=accumulate, learning_rate=0.1), data)
        for size, accumulate in ((16, 3), (48, None))
    ]
    losses = [trial.run_epoch().train_loss for trial in trials]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    found, expected = map(weights_of, trials)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("recipe", [EVERYTHING, {"learning_rate_schedule": "one_cycle", "optimizer": "sgd"}])
def test_a_resumed_trial_goes_on_to_the_last_bit(data: TrialData, recipe: dict[str, Any]) -> None:
    config = config_of("ROLE", epochs=3, **recipe)  # a method with parameters of its own
    whole, first, second = (TrialTraining(config, data) for _ in range(3))
    results = [without_times(whole.run_epoch()) for _ in range(3)]
    first.run_epoch()
    second.load_state_dict(through_a_file(first.state_dict()))
    assert [without_times(second.run_epoch()) for _ in range(2)] == results[1:]
    assert all(torch.equal(tensor, weights_of(second)[name]) for name, tensor in weights_of(whole).items())


@pytest.mark.parametrize("key", ["optimizer", *RECIPE_KEYS])
def test_linear_probes_with_a_recipe_are_trained_one_by_one(key: str) -> None:
    needed = {
        "epochs_per_decay": {"learning_rate_schedule": "step"},
        "decay_factor": {"learning_rate_schedule": "step"},
        "mixup_alpha": {"mixup": "mixup"},
        "mixup_share": {"mixup": "logicmix"},
        "mixup_images": {"mixup": "logicmix"},
    }
    given = EVERYTHING | {
        "weight_decay_on": "weights",
        "learning_rate_by": "epoch",
        "learning_rate_final": 0.1,
        "one_cycle_peak": 0.2,
        "epochs_per_decay": 2,
        "decay_factor": 0.5,
        "layer_decay": 0.8,
        "mixup": "logicmix",
        "mixup_alpha": 0.4,
        "mixup_share": 0.7,
        "mixup_images": 2,
        "sampling": "class_balanced",
        "temperature": 2.0,
        "class_wise_epochs": 2,
        "class_wise_learning_rate": 0.1,
        "class_wise_unobserved": "negative",
    }
    training = Training.model_construct(**{"mode": "linear", key: given[key]} | needed.get(key, {}))
    plain = config_of("AN").model_copy(update={"training": Training(mode="linear")})
    config = plain.model_copy(update={"training": training})
    assert is_linear_probe(config)
    assert not is_stackable(config)
    assert not can_train_together(plain, config)
    assert is_stackable(plain)


def test_a_linear_probe_with_a_recipe_learns(tmp_path: Path) -> None:
    draw = np.random.RandomState(1)
    labels_NC = (draw.rand(80, 4) < 0.35).astype(np.float32)
    np.save(tmp_path / "x.npy", labels_NC + 0.1 * draw.randn(80, 4))
    np.save(tmp_path / "y.npy", labels_NC)
    files = FeatureFiles(file="x.npy", labels_file="y.npy")
    config = config_of("AN").model_copy(
        update={
            "data": Data(dataset="features", root=str(tmp_path), features=files, observe=Observe()),
            "model": Model(backbone="linear"),
            "training": Training(learning_rate=0.1, epochs=5, optimizer="adamw", ema_decay=0.5, dropout=0.2),
        }
    )
    trial = open_trial(config, device=torch.device("cpu"), peers=ALONE, keep_best=False)
    losses = [trial.run_epoch().train_loss for _ in range(5)]
    assert losses[-1] < losses[0]


class TestWeightAverage:
    def test_it_is_the_recursion_over_steps_and_counts_as_the_network_where_it_is_better(self, data: TrialData) -> None:
        config = config_of("AN", optimizer="sgd", learning_rate=0.5, epochs=4, ema_decay=0.75)
        trial = TrialTraining(config, data, keep_best=True)
        plain = TrialTraining(config_of("AN", optimizer="sgd", learning_rate=0.5, epochs=4), data)
        expected = {name: tensor.double() for name, tensor in weights_of(trial).items()}
        step = plain.optimizer.step

        def followed() -> None:
            step()
            for name, tensor in plain.classifier.state_dict().items():
                expected[name] = 0.75 * expected[name] + 0.25 * tensor.double()

        plain.optimizer.step = followed  # type: ignore[method-assign, assignment]
        for _ in range(2):
            result, raw = trial.run_epoch(), plain.run_epoch()
            assert result.val_map_raw == raw.val_map
            assert result.val_map == max(result.val_map_raw or 0, result.val_map_averaged or 0)
        assert trial.optimization.average is not None
        averages = {name: one for name, one in trial.optimization.average.state_dict().items() if name in expected}
        assert set(averages) == {name for name, _ in trial.classifier.named_parameters()}
        for name, tensor in averages.items():
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)
        own = weights_of(trial)
        assert all(torch.equal(tensor, own[name]) for name, tensor in weights_of(plain).items())
        with trial.optimization.average.in_place():
            assert not torch.equal(trial.classifier.head.weight, own["head.weight"])
        assert torch.equal(trial.classifier.head.weight, own["head.weight"])

    def test_the_best_weights_are_those_whose_map_is_reported(self, data: TrialData) -> None:
        config = config_of("AN", optimizer="sgd", learning_rate=0.5, epochs=3, ema_decay=0.75)
        trial = TrialTraining(config, data, keep_best=True)
        results = [trial.run_epoch() for _ in range(3)]
        best = max(results, key=lambda one: one.val_map or 0)
        assert trial.progress.best_weights is not None
        trial.classifier.load_state_dict(trial.progress.best_weights)
        assert trial.evaluation.validate(0).chosen[0] == best.val_map


class TestFeatureDropout:
    def test_in_training_features_are_dropped_and_the_others_grow(self) -> None:
        head = nn.Linear(2000, 1, bias=False)
        seen: list[torch.Tensor] = []
        dropout = FeatureDropout(head, 0.25, seed=1)
        head.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
        dropout.draw(torch.tensor([2, 0]), 4, epoch=1, batch=0, device=torch.device("cpu"))
        head(torch.ones(2, 2000))
        head(torch.ones(2, 3, 3, 2000))
        head.eval()(torch.ones(2, 2000))
        dropout.end()
        head.train()(torch.ones(2, 2000))
        assert {round(value, 4) for value in seen[0].unique().tolist()} == {0.0, 1.3333}
        assert 0.7 < (seen[0] > 0).float().mean() < 0.8
        assert torch.equal(seen[1][:, 1, 2], seen[0])
        assert torch.equal(seen[2], torch.ones(2, 2000))
        assert torch.equal(seen[3], torch.ones(2, 2000))

    def test_an_image_has_its_mask_on_whichever_rank_it_is(self) -> None:
        head = nn.Linear(8, 1)
        masks = []
        for places in ([0, 1, 2, 3], [0, 2], [1, 3]):
            dropout = FeatureDropout(head, 0.5, seed=1)
            dropout.draw(torch.tensor(places), 4, epoch=3, batch=2, device=torch.device("cpu"))
            masks.append(dropout._mask_bD)
        whole, even, odd = masks
        assert whole is not None
        assert torch.equal(even, whole[::2])  # type: ignore[arg-type]
        assert torch.equal(odd, whole[1::2])  # type: ignore[arg-type]


class TestAugmentation:
    TRAINING = Training(random_crop=0.5, rand_augment=2)

    def images(self, device: str = "cpu") -> torch.Tensor:
        return torch.randint(0, 256, (6, 3, 24, 24), generator=torch.Generator().manual_seed(0)).byte().to(device)

    def test_an_image_changes_alike_in_whichever_batch_it_is_and_otherwise_in_each_epoch(self) -> None:
        change, rows = Augmentation(self.TRAINING, 24), torch.tensor([5, 0, 3, 9, 1, 2])
        whole = change(self.images(), rows, epoch=1)
        assert torch.equal(change(self.images()[2:4], rows[2:4], epoch=1), whole[2:4])
        other = change(self.images(), rows, epoch=2)
        assert not any(torch.equal(one, another) for one, another in zip(whole, other, strict=True))
        assert (whole.shape, whole.dtype) == ((6, 3, 24, 24), torch.uint8)

    def test_other_draws_do_not_notice_it(self) -> None:
        torch.manual_seed(3)
        expected = torch.rand(4)
        torch.manual_seed(3)
        Augmentation(self.TRAINING, 24)(self.images(), torch.arange(6), epoch=1)
        assert torch.equal(torch.rand(4), expected)

    def test_cutout_paints_a_square_of_one_color_cut_off_at_the_edges(self) -> None:
        black = torch.zeros(200, 3, 20, 20, dtype=torch.uint8)
        painted = Augmentation(Training(cutout=0.5), 20)(black, torch.arange(200), epoch=1)
        areas = []
        for image in painted:
            touched = image.amax(dim=0) > 0
            rows, columns = touched.any(dim=1).sum(), touched.any(dim=0).sum()
            assert touched.sum() == rows * columns
            assert len(image[:, touched].unique(dim=1).T) == 1
            areas.append(int(rows * columns))
        assert max(areas) == 100  # half of each side
        assert min(areas) >= 25  # the square's center lies within the image
        assert len(set(areas)) > 10

    def test_a_crop_is_a_part_of_the_image(self) -> None:
        """Of an image that grows brighter to the right: still so, over a narrower range, never of less than half."""
        ramp = torch.linspace(0, 255, 32).round().byte().expand(64, 1, 32, 32)
        cropped = Augmentation(Training(random_crop=0.5), 32)(ramp, torch.arange(64), epoch=1).float()
        assert (cropped.diff(dim=-1) >= 0).all()
        shares = (cropped[..., -1] - cropped[..., 0])[:, 0, 0] / 255
        assert 0.5 < shares.min() < shares.max() <= 1.0
        assert shares.unique().numel() > 10
