"""Linear probes on frozen or given features, and a linear probe before end-to-end training."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load
from torch import Tensor

from tests.training.bit_for_bit import through_a_file, without_times
from tests.training.small_backbone import BACKBONE, CLASSES, small_model, striped_photos
from wsml_study.data.label_files import FeatureFiles
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.training import frozen_features
from wsml_study.training.classifier import Classifier
from wsml_study.training.frozen_features import with_frozen_features
from wsml_study.training.pretrained_weights import IMAGENET_MEAN, IMAGENET_STD
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import Scaling, TrialData, open_trial_data

CPU = torch.device("cpu")
LL_CP = Method(name="LL-Cp", schedule=Schedule(rate_per_epoch=0.05))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return small_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return striped_photos(tmp_path_factory.mktemp("photos")).model_copy(
        update={"observe": Observe(), "horizontal_flip": True}
    )


@pytest.fixture(scope="module")
def data(photos: Data, tmp_path_factory: pytest.TempPathFactory) -> TrialData:
    return open_trial_data(photos, cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "cache"))


def config_of(photos: Data, model: Model, method: Method = LL_CP, **training: Any) -> TrialConfig:
    settings = {"batch_size": 16, "learning_rate": 1e-3, "epochs": 3}
    return TrialConfig(data=photos, model=model, method=method, training=Training(**settings | training))


def given(folder: Path, num_rows: int = 60) -> Data:
    """Features of different scales that tell the three classes."""
    draw = np.random.RandomState(1)
    labels_NC = (draw.rand(num_rows, 3) < 0.4).astype(np.int8)
    labels_NC[np.arange(num_rows), np.arange(num_rows) % 3] = 1
    noise_ND = draw.randn(num_rows, 5)
    features_ND = (np.concatenate([labels_NC, labels_NC[:, :2]], axis=1) + 0.2 * noise_ND) * [1, 100, 0.01, 5, 2] + 7
    np.save(folder / "x.npy", features_ND)
    np.save(folder / "y.npy", labels_NC)
    files = FeatureFiles(file="x.npy", labels_file="y.npy")
    return Data(dataset="features", root=str(folder), features=files, observe=Observe())


def state_of(classifier: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.state_dict().items()}


class TestFrozenFeatures:
    def test_they_are_what_the_network_gives_its_last_layer_in_evaluation(self, data: TrialData, model: Model) -> None:
        features_ND = with_frozen_features(data.train, model, CPU).features_ND
        network = torchvision.models.get_model(BACKBONE, weights=None)
        network.load_state_dict(torch.load(str(model.weights), weights_only=True))
        network.fc = torch.nn.Identity()
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        with torch.no_grad():
            images = torch.from_numpy(np.array(data.train.images_NcHW)).float() / 255
            expected_ND = network.eval()((images - mean) / std)
        torch.testing.assert_close(torch.tensor(features_ND), expected_ND, rtol=1e-4, atol=1e-5)

    def test_they_are_computed_once_for_all_trials(
        self, photos: Data, data: TrialData, model: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[int] = []
        features = Classifier.features
        monkeypatch.setattr(
            Classifier, "features", lambda self, images: calls.append(len(images)) or features(self, images)
        )
        for seed in range(3):
            TrialTraining(config_of(photos, model, mode="linear", seed=seed), data).run_epoch()
        assert sum(calls) == len(data.train) + len(data.validation)

    def test_other_weights_have_features_of_their_own(self, data: TrialData, model: Model, tmp_path: Path) -> None:
        """Also if they come to be in the same file."""
        weights, file = torch.load(str(model.weights), weights_only=True), tmp_path / "weights.pth"
        torch.save(weights, file)
        copied = model.model_copy(update={"weights": str(file)})
        original_ND, copied_ND = (with_frozen_features(data.train, one, CPU).features_ND for one in (model, copied))
        weights["conv1.0.weight"] *= 2
        torch.save(weights, file)
        changed_ND = with_frozen_features(data.train, copied, CPU).features_ND
        assert np.array_equal(original_ND, copied_ND)
        assert not np.array_equal(original_ND, changed_ND)

    def test_mirrored_ones_are_those_of_mirrored_images(self, data: TrialData, model: Model) -> None:
        mirrored_ND = with_frozen_features(data.train, model, CPU, mirrored=True).features_ND
        flipped = replace(data.train, images_NcHW=np.ascontiguousarray(np.array(data.train.images_NcHW)[..., ::-1]))
        expected_ND = with_frozen_features(flipped, model, CPU).features_ND
        np.testing.assert_allclose(mirrored_ND, expected_ND, rtol=1e-5, atol=1e-6)

    def test_what_made_the_network_leaves_no_trace_in_a_trial(
        self, photos: Data, data: TrialData, model: Model
    ) -> None:
        """A trial that finds the features in the cache, without any network, is the same as one that computed them."""
        config = config_of(photos, model, mode="linear")
        first = without_times(TrialTraining(config, data).run_epoch())
        frozen_features._frozen_backbone.cache_clear()
        assert without_times(TrialTraining(config, data).run_epoch()) == first


class TestLinearProbe:
    def test_it_learns_and_the_backbone_does_not(self, photos: Data, data: TrialData, model: Model) -> None:
        config = config_of(photos, model, Method(name="AN"), mode="linear", epochs=8, learning_rate=1e-4)
        trial = TrialTraining(config, data, keep_best=True)
        losses = [trial.run_epoch().train_loss for _ in range(8)]
        assert losses[-1] < losses[0]
        weights = load(trial.best_weights_safetensors())
        untouched = torch.load(str(model.weights), weights_only=True)
        assert all(
            torch.equal(weights[f"network.{name}"], tensor) for name, tensor in untouched.items() if name[:2] != "fc"
        )

    def test_it_does_what_a_plain_loop_over_features_does(self, photos: Data, data: TrialData, model: Model) -> None:
        """AN on the features, written out with PyTorch's own loss; the trial's order of images is taken as given."""
        config = config_of(photos, model, Method(name="AN"), mode="linear", optimizer="sgd", momentum=0.0)
        trial = TrialTraining(config, data)
        head = torch.nn.Linear(1024, len(CLASSES))
        head.load_state_dict(trial.classifier.head.state_dict())
        optimizer = torch.optim.SGD(head.parameters(), lr=1e-2)
        features_ND = torch.tensor(with_frozen_features(data.train, model, CPU).features_ND)[data.train.rows_M]
        targets_NC = (torch.tensor(data.train.observed_MC) > 0).float()
        for batch in TrialTraining(config, data).optimization.batches(1):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                head(features_ND[batch.indices_B]), targets_NC[batch.indices_B]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        trial.run_epoch()
        torch.testing.assert_close(trial.classifier.head.weight, head.weight, rtol=1e-5, atol=1e-7)

    def test_the_whole_classifier_that_it_leaves_scores_images_as_it_scores_features(
        self, photos: Data, data: TrialData, model: Model
    ) -> None:
        trial = TrialTraining(config_of(photos, model, mode="linear"), data, keep_best=True)
        trial.run_epoch()
        result = trial.test()
        whole = Classifier(BACKBONE, num_classes=3, num_channels=3, weights=model.weights)
        whole.load_state_dict(load(trial.best_weights_safetensors()))
        assert data.test.images_NcHW is not None
        with torch.no_grad():
            scores_MC = whole.eval()(torch.from_numpy(np.array(data.test.images_NcHW[data.test.rows_M])))
        torch.testing.assert_close(scores_MC, trial.evaluation.scores("test"), rtol=1e-4, atol=1e-5)
        assert result.best_epoch == 1

    def test_mirrored_features_are_seen_when_asked_for(self, photos: Data, data: TrialData, model: Model) -> None:
        plain, mirrored = (
            TrialTraining(config_of(photos, model, mode="linear", mirror_features=mirror), data)
            for mirror in (None, True)
        )
        # Evaluation never mirrors.
        assert torch.equal(plain.evaluation.scores("train"), mirrored.evaluation.scores("train"))
        seen = [torch.cat([batch.inputs for batch in trial.optimization.batches(1)]) for trial in (plain, mirrored)]
        differ = (seen[0] != seen[1]).any(dim=1)
        assert 0 < differ.sum() < len(differ)

    def test_given_features_are_scaled_by_the_training_rows_and_the_scaling_is_saved(self, tmp_path: Path) -> None:
        photos = given(tmp_path)
        data = open_trial_data(photos)
        trial = TrialTraining(config_of(photos, Model(backbone="linear")), data, keep_best=True)
        trial.run_epoch()
        scaled_MD = trial.optimization.inputs.features_of("train").features_MD
        torch.testing.assert_close(scaled_MD.mean(0), torch.zeros(5), rtol=0, atol=1e-4)
        torch.testing.assert_close(scaled_MD.std(0, correction=0), torch.ones(5), rtol=0, atol=1e-4)
        trial.test()
        weights = load(trial.best_weights_safetensors())
        raw_MD = torch.tensor(data.test.features_ND)
        scores_MC = ((raw_MD - weights["mean_D"]) / weights["deviation_D"]) @ weights["head.weight"].T + weights[
            "head.bias"
        ]
        torch.testing.assert_close(scores_MC, trial.evaluation.scores("test"), rtol=1e-4, atol=1e-5)

    def test_given_features_can_be_left_as_they_are(self, tmp_path: Path) -> None:
        photos = given(tmp_path).model_copy(update={"feature_scaling": "none"})
        data = open_trial_data(photos)
        trial = TrialTraining(config_of(photos, Model(backbone="linear")), data)
        expected_MD = torch.tensor(data.train.features_ND[data.train.rows_M])
        assert torch.equal(trial.optimization.inputs.features_of("train").features_MD, expected_MD)

    def test_every_method_learns_on_given_features(self, tmp_path: Path) -> None:
        photos = given(tmp_path)
        data = open_trial_data(photos)
        trial = TrialTraining(config_of(photos, Model(backbone="linear"), epochs=30, learning_rate=1e-2), data)
        results = [trial.run_epoch() for _ in range(30)]
        assert results[-1].best_val_map > 95

    def test_a_constant_feature_is_only_shifted(self) -> None:
        scaling = Scaling.of(np.full((5, 1), 0.1, dtype=np.float32))
        assert scaling.deviation_D.tolist() == [1]


class TestLinearInit:
    def test_each_phase_counts_its_epochs_from_1(self, photos: Data, data: TrialData, model: Model) -> None:
        config = config_of(photos, model, mode="linear_init", linear_epochs=3, epochs=2)
        assert config.training.total_epochs == 5
        trial = TrialTraining(config, data)
        results = [trial.run_epoch() for _ in range(5)]
        assert [result.epoch for result in results] == [1, 2, 3, 4, 5]
        assert [result.phase for result in results] == ["linear"] * 3 + ["end_to_end"] * 2
        assert [result.rejection_rate for result in results] == pytest.approx([0, 0.05, 0.1, 0, 0.05])

    def test_the_backbone_learns_only_in_the_second_phase(self, photos: Data, data: TrialData, model: Model) -> None:
        trial = TrialTraining(config_of(photos, model, mode="linear_init", linear_epochs=2, epochs=1), data)
        before = state_of(trial.classifier)
        for _ in range(2):
            trial.run_epoch()
        after_head = state_of(trial.classifier)
        changed = {name for name, tensor in after_head.items() if not torch.equal(tensor, before[name])}
        assert changed == {"network.fc.weight", "network.fc.bias", "head.weight", "head.bias"}
        trial.run_epoch()
        after = state_of(trial.classifier)
        assert not torch.equal(after["network.conv1.0.weight"], before["network.conv1.0.weight"])

    def test_the_method_begins_anew_in_the_second_phase(self, photos: Data, data: TrialData, model: Model) -> None:
        trial = TrialTraining(config_of(photos, model, mode="linear_init", linear_epochs=2, epochs=1), data)
        trial.run_epoch()
        trial.run_epoch()
        corrected = trial.method.state_dict()["corrected_NC"]
        assert corrected.any()
        trial.run_epoch()
        assert not trial.method.state_dict()["corrected_NC"].any()

    @pytest.mark.parametrize("hand_over", ["best", "last"])
    def test_the_second_phase_begins_with_the_best_head_or_the_last(
        self, hand_over: str, photos: Data, data: TrialData, model: Model
    ) -> None:
        config = config_of(
            photos, model, mode="linear_init", linear_epochs=2, epochs=1, hand_over=hand_over,
            linear_learning_rate=1.0, learning_rate=1e-12,
        )  # fmt: skip
        trial = TrialTraining(config, data)
        heads, values = [], []
        for _ in range(2):
            result = trial.run_epoch()
            assert result.head_epoch is None
            heads.append(state_of(trial.classifier.head))
            values.append(result.objective)
        epoch = 1 + (values.index(max(values)) if hand_over == "best" else 1)
        assert max(values) > values[-1]
        assert trial.run_epoch().head_epoch == epoch
        for name, tensor in state_of(trial.classifier.head).items():
            torch.testing.assert_close(tensor, heads[epoch - 1][name], rtol=0, atol=1e-6)

    def test_of_equally_good_heads_the_first_is_handed_over(self, photos: Data, data: TrialData, model: Model) -> None:
        config = config_of(
            photos, model, mode="linear_init", linear_epochs=3, epochs=1, hand_over="best", linear_learning_rate=1e-12
        )
        trial = TrialTraining(config, data)
        assert len({trial.run_epoch().objective for _ in range(3)}) == 1
        assert trial.run_epoch().head_epoch == 1

    def test_a_state_without_best_head_is_that_of_an_earlier_version(
        self, photos: Data, data: TrialData, model: Model
    ) -> None:
        config = config_of(photos, model, mode="linear_init", linear_epochs=1, epochs=1)
        straight, resumed = TrialTraining(config, data), TrialTraining(config, data)
        straight.run_epoch()
        state = straight.state_dict()
        del state["best_head"], state["corrections"]
        resumed.load_state_dict(state)
        assert without_times(resumed.run_epoch()) == without_times(straight.run_epoch())

    def test_the_linear_probe_has_its_own_learning_rate(self, photos: Data, data: TrialData, model: Model) -> None:
        config = config_of(
            photos, model, mode="linear_init", linear_epochs=1, epochs=1, linear_learning_rate=0.5, learning_rate=1e-4
        )
        trial = TrialTraining(config, data)
        assert [group["lr"] for group in trial.optimizer.param_groups] == [0.5]
        trial.run_epoch()
        trial.run_epoch()
        assert [group["lr"] for group in trial.optimizer.param_groups] == pytest.approx([1e-4, 1e-3])

    def test_by_default_25_epochs_of_the_head_come_first(self) -> None:
        assert Training(mode="linear_init").total_epochs == 35
        assert (Training(mode="linear").total_epochs, Training().total_epochs) == (10, 10)


@pytest.mark.parametrize("name", ["LL-Cp", "ROLE"])
@pytest.mark.parametrize(
    ("mode", "saved_after"), [("given", 2), ("linear", 2), ("linear_init", 1), ("linear_init", 2), ("linear_init", 3)]
)
def test_save_load_go_on_equals_going_on_bit_for_bit(
    mode: str, saved_after: int, name: str, photos: Data, data: TrialData, model: Model, tmp_path: Path
) -> None:
    """With linear_init epochs 1 and 2 are the head's: a state from within either phase, and from between them."""
    method = LL_CP if name == "LL-Cp" else Method(name=name, expected_positives=1.5)
    if mode == "given":
        photos, model = given(tmp_path), Model(backbone="linear")
        data, config = open_trial_data(photos), config_of(photos, model, method, epochs=4)
    elif mode == "linear":
        config = config_of(photos, model, method, mode=mode, epochs=4)
    else:
        config = config_of(photos, model, method, mode=mode, linear_epochs=2, epochs=2, hand_over="best")
    straight = TrialTraining(config, data, keep_best=True)
    curve = [without_times(straight.run_epoch()) for _ in range(4)]
    interrupted = TrialTraining(config, data, keep_best=True)
    assert [without_times(interrupted.run_epoch()) for _ in range(saved_after)] == curve[:saved_after]
    state = through_a_file(interrupted.state_dict())
    torch.manual_seed(99)  # whatever ran in this process in between
    resumed = TrialTraining(config, data, keep_best=True)
    resumed.load_state_dict(state)
    assert [without_times(resumed.run_epoch()) for _ in range(4 - saved_after)] == curve[saved_after:]
    assert straight.test() == resumed.test()
    assert straight.corrections() == resumed.corrections()
    assert straight.best_weights_safetensors() == resumed.best_weights_safetensors()


def test_the_state_of_a_head_is_small(photos: Data, data: TrialData, model: Model) -> None:
    buffer = io.BytesIO()
    torch.save(TrialTraining(config_of(photos, model, mode="linear"), data).state_dict(), buffer)
    assert len(buffer.getvalue()) < 60_000  # the backbone has 1.4 MB
