"""Parts of a network that learn: frozen stages, rates by stage, LoRA."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from tests.study.complaints import assert_complains
from tests.training.bit_for_bit import through_a_file, without_times
from tests.training.digit_trials import config_of
from wsml_study.errors import TrainingError
from wsml_study.study.data_section import Data
from wsml_study.study.model_section import Model
from wsml_study.study.partial_training import Freeze, Lora
from wsml_study.study.reading import parse_study
from wsml_study.study.spec import TrialConfig
from wsml_study.training import trained_parts
from wsml_study.training.classifier import Classifier
from wsml_study.training.stages import Stages, stages_of
from wsml_study.training.trained_parts import train_parts
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import TrialData, open_trial_data
from wsml_study.tuning.part_checks import part_lines

SIZE = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrialData:
    section = Data(dataset="digit_scenes", image_size=SIZE)
    whole = open_trial_data(section, cache_dir=tmp_path_factory.mktemp("images"))
    parts = {}
    for name in ("train", "validation", "test"):
        split = getattr(whole, name)
        parts[name] = replace(split, **{k: getattr(split, k)[:64] for k in ("rows_M", "truth_MC", "observed_MC")})
    return replace(whole, **parts)


def config(model: dict[str, Any], **training: Any) -> TrialConfig:
    plain = config_of("LL-R", epochs=3, batch_size=16, **training)
    section = Data(dataset="digit_scenes", image_size=SIZE)
    return plain.model_copy(update={"model": Model(**model), "data": section})


def classifier_of(backbone: str, size: int = 224) -> Classifier:
    with torch.device("meta"):
        return Classifier(backbone, num_classes=3, num_channels=3, image_size=size)


def stages(backbone: str, size: int = 224) -> Stages:
    classifier = classifier_of(backbone, size)
    found = stages_of(classifier.network, classifier.head)
    names = [name for part in (*found.parameters, found.tail) for name in part]
    in_head = {id(parameter) for parameter in classifier.head.parameters()}
    assert sorted(names) == sorted(n for n, p in classifier.network.named_parameters() if id(p) not in in_head)
    return found


LAYERS = tuple(f"layer{number}" for number in range(1, 5))


@pytest.mark.parametrize(
    ("backbone", "first", "num_stages", "tail"),
    [
        ("small_cnn", ("features.0", "features.1"), 4, ()),
        ("resnet50", ("stem", "layer1"), 5, ()),
        ("mobilenet_v2", ("features.0", "features.1"), 19, ()),
        ("densenet121", ("stem", "features.denseblock1"), 5, ("features.norm5.weight", "features.norm5.bias")),
        ("convnext_tiny", ("features.0", "features.1"), 8, ("classifier.0.weight", "classifier.0.bias")),
        ("shufflenet_v2_x0_5", ("stem", "stage2"), 4, ("conv5.0.weight", "conv5.1.weight", "conv5.1.bias")),
        ("timm/test_vit", ("stem", "blocks.0"), 7, ("norm.weight", "norm.bias")),
        ("timm/test_resnet", ("stem", "layer1"), 5, ()),
        ("timm/test_convnext", ("stem", "stages.0"), 5, ("head.norm.weight", "head.norm.bias")),
        ("timm/vit_tiny_patch16_224", ("stem", "blocks.0"), 13, ("norm.weight", "norm.bias")),
        ("timm/swin_tiny_patch4_window7_224", ("stem", "layers.0"), 5, ("norm.weight", "norm.bias")),
        ("timm/tf_efficientnet_lite0", ("stem", "blocks.0"), 8, ("conv_head.weight", "bn2.weight", "bn2.bias")),
    ],
)
def test_what_counts_as_a_stage(backbone: str, first: tuple[str, ...], num_stages: int, tail: tuple[str, ...]) -> None:
    found = stages(backbone)
    assert (found.names[:2], len(found.names), found.tail) == (first, num_stages, tail)


def test_the_projection_of_clip_comes_last() -> None:
    found = stages("open_clip/ViT-B-32")
    assert found.names[:2] == ("stem", "body.transformer.resblocks.0")
    assert len(found.names) == 13
    assert set(found.tail) == {"body.ln_post.weight", "body.ln_post.bias", "body.proj"}


class TestFreeze:
    @pytest.mark.parametrize("freeze", [{"stages": 3}, {"all_but": 2}])
    def test_frozen_stages_keep_their_weights_and_statistics(self, data: TrialData, freeze: dict[str, int]) -> None:
        trial = TrialTraining(config({"backbone": "timm/test_resnet", "freeze": freeze}, ema_decay=0.5), data)
        before = {name: tensor.clone() for name, tensor in trial.classifier.network.state_dict().items()}
        trial.run_epoch()
        for name, tensor in trial.classifier.network.state_dict().items():
            learns = name.startswith(("layer3", "layer4", "fc"))
            assert torch.equal(tensor, before[name]) is not learns, name
        frozen = [one for one in trial.classifier.parameters() if not one.requires_grad]
        assert frozen
        assert all(one.grad is None for one in frozen)

    def test_with_none_left_the_head_alone_learns(self) -> None:
        classifier = classifier_of("timm/test_vit")
        train_parts(classifier, Model(backbone="timm/test_vit", freeze=Freeze(all_but=0)))
        assert {n for n, p in classifier.network.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}

    def test_more_stages_than_there_are_are_refused_with_their_names(self) -> None:
        model = Model(backbone="resnet18", freeze=Freeze(stages=6))
        with pytest.raises(
            TrainingError, match=r"resnet18 has 5 stages \(stem, layer1, layer2, layer3, layer4\), got 6"
        ):
            train_parts(classifier_of("resnet18"), model)

    def test_both_keys_and_linear_probes_are_refused(self, tmp_path: Path) -> None:
        start = "name: s\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\n"
        assert_complains(
            tmp_path,
            f"{start}model: {{freeze: {{stages: 1, all_but: 2}}}}\n",
            "4:17  model.freeze: expected `stages` or `all_but`, got both",
        )
        assert_complains(
            tmp_path,
            f"{start}model: {{backbone: resnet18, weights: x.pth, freeze: {{stages: 1}}}}\n"
            "training: {mode: linear}\n",
            "4:45  model.freeze: mode linear takes no `model.freeze` (only end_to_end, linear_init)",
        )

    def test_check_says_what_learns(self) -> None:
        content = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}}
        content |= {"model": {"backbone": "timm/test_resnet"}}
        content |= {"search": {"model.freeze.all_but": {"choice": [0, 1]}}}
        first, second = part_lines(parse_study(content, source="s"), image_size=SIZE)
        assert first.startswith("timm/test_resnet: 0 of ")
        assert first.endswith(" weights of the backbone learn; of 5 stages none")
        assert second.endswith("; of 5 stages layer4")


def test_rates_fall_by_stage_towards_the_image() -> None:
    groups = classifier_of("timm/test_vit").parameter_groups(0.1, 10, 0.5)
    assert [group["lr"] for group in groups] == pytest.approx([0.1 / 2**power for power in range(7, -1, -1)] + [1.0])
    assert sum(len(group["params"]) for group in groups) == len(list(classifier_of("timm/test_vit").parameters()))


LORA = {"backbone": "timm/test_vit", "lora": {"rank": 4}}


def test_without_peft_training_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(trained_parts.PEFT, module="no_such_module")
    monkeypatch.setattr(trained_parts, "PEFT", missing)
    with pytest.raises(TrainingError, match=r"not installed: pip install 'wsml-study\[lora\]'$"):
        train_parts(classifier_of("timm/test_vit"), Model(**LORA))


class TestLora:
    @pytest.fixture(autouse=True)
    def _needs_peft(self) -> None:
        pytest.importorskip("peft")

    def test_only_updates_and_head_learn_and_the_model_is_a_plain_one(self, data: TrialData) -> None:
        trial = TrialTraining(config(LORA, learning_rate=0.01), data, keep_best=True)
        learning = {name for name, one in trial.classifier.network.named_parameters() if one.requires_grad}
        assert {name for name in learning if "lora_" not in name} == {"head.weight", "head.bias"}
        assert {name.split(".")[2] for name in learning if "lora_" in name} == {"attn", "mlp"}
        before = {name: one.clone() for name, one in trial.classifier.state_dict().items()}
        trial.run_epoch()
        after = trial.classifier.state_dict()
        assert {n.removeprefix("network.") for n in after if not torch.equal(after[n], before[n])} == learning | {
            "head.weight",
            "head.bias",
        }
        plain = TrialTraining(config({"backbone": "timm/test_vit"}), data)
        plain.classifier.load_state_dict(safetensors.torch.load(trial.best_weights_safetensors()))
        torch.testing.assert_close(plain.evaluation.scores("test"), trial.evaluation.scores("test"))

    def test_a_resumed_trial_goes_on_to_the_last_bit(self, data: TrialData) -> None:
        recipe = {"layer_decay": 0.8, "ema_decay": 0.9, "dropout": 0.2, "random_crop": 0.5}
        trials = [TrialTraining(config(LORA, **recipe), data, keep_best=True) for _ in range(3)]
        whole, first, second = trials
        results = [without_times(whole.run_epoch()) for _ in range(3)]
        first.run_epoch()
        second.load_state_dict(through_a_file(first.state_dict()))
        assert [without_times(second.run_epoch()) for _ in range(2)] == results[1:]
        assert second.best_weights_safetensors() == whole.best_weights_safetensors()

    @pytest.mark.parametrize("backbone", ["resnet18", "open_clip/ViT-B-32"])
    def test_it_updates_convolutions_and_torch_s_attention(self, backbone: str) -> None:
        torch.manual_seed(0)
        classifier = Classifier(backbone, num_classes=3, num_channels=3, image_size=64).eval()
        images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
        expected = classifier(images)
        train_parts(classifier, Model(backbone=backbone, lora=Lora(rank=2)))
        torch.testing.assert_close(classifier.eval()(images), expected)
        kinds = {
            type(one) for one in classifier.network.modules() if type(one).__module__.startswith("peft.tuners.lora")
        }
        assert len(kinds - {nn.ModuleDict}) >= 1

    def test_layers_that_are_not_there_are_answered_with_those_that_are(self) -> None:
        model = Model(backbone="timm/test_vit", lora=Lora(targets=("query",)))
        with pytest.raises(TrainingError, match="no linear layer or convolution query; their names end in proj, qkv"):
            train_parts(classifier_of("timm/test_vit"), model)
