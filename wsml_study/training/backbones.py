"""Backbones by name, `model.backbone`: our own, and torchvision's classification models.

Imports torch only when a network is built, so that `OWN` can be looked up without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsml_study.errors import TrainingError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network whose last layer is a fresh head.

    Attributes:
        network: normalized images (B, num_channels, H, W) to logits (B, C).
        head: its last layer.
        num_channels: of the images that the network takes.
    """

    network: nn.Module
    head: nn.Linear
    num_channels: int


def build_backbone(
    name: str, *, num_classes: int, num_channels: int, weights: str | None, fetch_weights: bool = True
) -> Backbone:
    """Build the network of a backbone.

    Args:
        name: one of `OWN`, or a torchvision classification model.
        num_classes: C, logits per image.
        num_channels: 1 (gray) or 3 (RGB), of the images as stored.
        weights: torchvision's name of weights, or a .pth file of the whole ImageNet model; None for random ones.
        fetch_weights: False builds the same network without opening or downloading its weights.

    Raises:
        TrainingError: the backbone or its weights are unknown or absent, or do not fit each other.
    """
    if name in OWN:
        return OWN[name](num_classes, num_channels, weights)
    from wsml_study.training.torchvision_backbones import torchvision_network  # imports torchvision: 1 s

    network, head = torchvision_network(name, weights, num_classes=num_classes, fetch_weights=fetch_weights)
    return Backbone(network=network, head=head, num_channels=3)


def _small_cnn(num_classes: int, num_channels: int, weights: str | None) -> Backbone:
    from wsml_study.training.small_cnn import SmallCnn

    if weights is not None:
        raise TrainingError(f"model.weights: small_cnn has no published weights, got {weights!r}; remove the key")
    network = SmallCnn(num_channels, num_classes)
    return Backbone(network=network, head=network.head, num_channels=num_channels)


def _linear(num_classes: int, num_channels: int, weights: str | None) -> Backbone:
    del num_classes, num_channels, weights
    raise TrainingError("model.backbone: linear takes given features (data.dataset: features), not images")


OWN: dict[str, Callable[[int, int, str | None], Backbone]] = {"small_cnn": _small_cnn, "linear": _linear}
"""Our own backbones: name -> builder from (num_classes, num_channels, weights). `linear` is the head on given features,
`LinearClassifier`; it has no network for images."""
