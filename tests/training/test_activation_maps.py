"""Class activation maps agree with the logits that they explain."""

from __future__ import annotations

import pytest
import torch

from wsml_study.errors import TrainingError
from wsml_study.training.activation_maps import ActivationMaps
from wsml_study.training.classifier import Classifier


def images(num_channels: int) -> torch.Tensor:
    return torch.randint(0, 256, (2, num_channels, 64, 64), generator=torch.Generator().manual_seed(0)).byte()


@pytest.mark.parametrize(
    ("backbone", "head"),
    [
        ("resnet18", None),
        ("mobilenet_v2", None),
        ("densenet121", None),
        ("mobilenet_v2", "boostlu"),
        ("small_cnn", "boostlu"),
    ],
)
def test_the_mean_of_a_map_is_the_logit(backbone: str, head: str | None) -> None:
    torch.manual_seed(0)
    num_channels = 1 if backbone == "small_cnn" else 3
    classifier = Classifier(backbone, num_classes=4, num_channels=num_channels, head=head).eval()
    maps_BChw = ActivationMaps(classifier)(images(num_channels))
    with torch.inference_mode():
        logits_BC = classifier(images(num_channels))
    torch.testing.assert_close(maps_BChw.mean(dim=(2, 3)), logits_BC, rtol=1e-4, atol=1e-5)


def test_small_cnn_pools_the_maximum_of_each_feature() -> None:
    torch.manual_seed(0)
    classifier = Classifier("small_cnn", num_classes=4, num_channels=1).eval()
    with torch.no_grad():  # one feature, of which the logit is the largest activation then
        weight = classifier.head.weight
        weight.copy_(torch.zeros_like(weight))
        weight[:, 0] = 2.0
    maps_BChw = ActivationMaps(classifier)(images(1))
    with torch.inference_mode():
        torch.testing.assert_close(maps_BChw.amax(dim=(2, 3)), classifier(images(1)))


def test_a_backbone_without_a_pooled_map_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"a class activation map needs a backbone that pools .* VisionTransformer"):
        ActivationMaps(Classifier("vit_b_16", num_classes=4, num_channels=3))
