"""What a look at a model finds before anything trains, and the networks that it lets pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from wsml_study.errors import TrainingError
from wsml_study.training.classifier import Classifier
from wsml_study.training.model_check import check_model
from wsml_study.training.torchvision_backbones import torchvision_network


@pytest.mark.parametrize(
    ("backbone", "size"),
    [
        ("resnet18", 32),
        ("resnet18", 448),
        ("mobilenet_v2", 64),
        ("googlenet", 64),
        ("inception_v3", 96),
        ("vit_b_16", 224),
        ("regnet_y_400mf", 32),
    ],
)
@pytest.mark.parametrize("num_channels", [1, 3])
def test_a_model_that_takes_the_images_passes(backbone: str, size: int, num_channels: int) -> None:
    check_model(backbone, None, None, image_sizes=[size], num_channels=num_channels)


@pytest.mark.parametrize(
    ("backbone", "sizes", "message"),
    [
        (
            "vit_b_16",
            [224, 448],
            r"vit_b_16 does not take images of 448 x 448 pixels .*Wrong image height.* such as 224",
        ),
        ("inception_v3", [64], r"inception_v3 does not take images of 64 x 64 pixels \(data.image_size\)"),
        (
            "alexnet",
            [32],
            r"alexnet does not take images of 32 x 32 .*set data.image_size to .* such as 224, or choose",
        ),
        ("squeezenet1_0", [224], "ends in no linear layer"),
        ("resnet5", [224], "got 'resnet5'"),
    ],
)
def test_a_model_that_does_not_is_refused_with_a_remedy(backbone: str, sizes: list[int], message: str) -> None:
    with pytest.raises(TrainingError, match=f"model.backbone: .*{message}"):
        check_model(backbone, None, None, image_sizes=sizes, num_channels=3)


def test_a_head_that_needs_a_pooled_map_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"model\.head: boostlu needs a backbone that pools a feature map"):
        check_model("vit_b_16", None, "boostlu", image_sizes=[224], num_channels=3)
    check_model("resnet18", None, "boostlu", image_sizes=[96], num_channels=3)


def test_weights_are_looked_up_without_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    check_model("resnet18", "IMAGENET1K_V1", None, image_sizes=[64], num_channels=3, download=False)
    check_model("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", None, image_sizes=[384], num_channels=3, download=False)
    with pytest.raises(TrainingError, match="such as 384"):
        check_model("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", None, image_sizes=[224], num_channels=3, download=False)
    with pytest.raises(TrainingError, match=r"resnet18 has IMAGENET1K_V1, DEFAULT or a \.pth .* got 'IMAGENET1K_V7'"):
        check_model("resnet18", "IMAGENET1K_V7", None, image_sizes=[64], num_channels=3, download=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_the_weights_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "weights.pth")
    torch.save(torchvision.models.resnet34(weights=None).state_dict(), path)
    check_model("resnet34", path, None, image_sizes=[64], num_channels=3, download=False)
    with pytest.raises(TrainingError, match=r"does not hold the weights of resnet18: .*Unexpected key.*\.\.\."):
        check_model("resnet18", path, None, image_sizes=[64], num_channels=3, download=False)


@pytest.mark.parametrize(("backbone", "prefix"), [("googlenet", "aux"), ("inception_v3", "AuxLogits")])
def test_networks_with_auxiliary_heads_give_logits_in_training_and_load_files_with_them(
    backbone: str, prefix: str, tmp_path: Path
) -> None:
    as_published = torchvision.models.get_model(backbone, weights=None, aux_logits=True, init_weights=False)
    file = str(tmp_path / "weights.pth")
    torch.save(as_published.state_dict(), file)
    classifier = Classifier(backbone, num_classes=3, num_channels=3, weights=file)
    assert not [name for name in classifier.state_dict() if name.startswith(f"network.{prefix}")]
    as_published.fc = classifier.network.fc
    images_BcHW = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    with torch.no_grad():
        expected_BC = as_published.eval()(classifier.normalized(images_BcHW))
        torch.testing.assert_close(classifier.eval()(images_BcHW), expected_BC, rtol=1e-4, atol=1e-5)
    earlier = {f"network.{name}": value for name, value in as_published.state_dict().items()}
    earlier |= {"head.weight": as_published.fc.weight, "head.bias": as_published.fc.bias}
    classifier.load_state_dict(earlier)  # a model of an earlier version, auxiliary heads included
    assert classifier.train()(images_BcHW).shape == (2, 3)


def test_without_its_weights_a_network_is_built_as_with_them() -> None:
    """For models in use: published weights of googlenet and inception_v3 need differently normalized pixels."""
    for backbone in ("googlenet", "inception_v3"):
        network, _ = torchvision_network(backbone, "IMAGENET1K_V1", num_classes=2, fetch_weights=False)
        assert network.transform_input
        assert not torchvision_network(backbone, None, num_classes=2)[0].transform_input
    network, _ = torchvision_network("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", num_classes=2, fetch_weights=False)
    assert network.image_size == 384
