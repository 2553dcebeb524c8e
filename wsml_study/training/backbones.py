"""Backbones by name, `model.backbone`: those with a record, and models of torchvision, timm and open_clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsml_study.errors import TrainingError
from wsml_study.options import Value
from wsml_study.registry import implementation
from wsml_study.study.backbone_library import library_of
from wsml_study.study.backbone_record import BACKBONES
from wsml_study.training.pretrained_weights import function_of

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
    name: str,
    *,
    num_classes: int,
    num_channels: int,
    weights: str | None,
    image_size: int | None = None,
    fetch_weights: bool = True,
    options: Mapping[str, Value | None] | None = None,
) -> Backbone:
    """Build the network of a backbone.

    Args:
        name: one of `BACKBONES`, a torchvision classification model, `timm/NAME` or `open_clip/NAME`.
        num_classes: C, logits per image.
        num_channels: 1 (gray) or 3 (RGB), of the images as stored.
        weights: the library's name of weights, or a file of the whole pretrained model; None for random ones.
        image_size: pixels of a side; networks of timm and open_clip may be built for it, None builds them for the size
            that their weights were trained on. Others do not need it.
        fetch_weights: False builds the same network without opening or downloading its weights.
        options: of the record -> values; absent ones take the record's defaults.

    Raises:
        TrainingError: the backbone or its weights are unknown or absent, or do not fit each other.
    """
    if (library := library_of(name)) is not None:
        network, head = function_of(library, "network")(
            name, weights, num_classes=num_classes, image_size=image_size, fetch_weights=fetch_weights
        )
        return Backbone(network=network, head=head, num_channels=3)
    if name not in BACKBONES:
        from wsml_study.training.torchvision_backbones import torchvision_network  # imports torchvision: 1 s

        network, head = torchvision_network(name, weights, num_classes=num_classes, fetch_weights=fetch_weights)
        return Backbone(network=network, head=head, num_channels=3)
    record = BACKBONES[name]
    if weights is not None and not record.takes_weights:
        raise TrainingError(f"model.weights: {name} has no published weights, got {weights!r}; remove the key")
    values = {one.key: one.default for one in record.options}
    values |= {key: value for key, value in (options or {}).items() if value is not None}
    build = implementation(record.build) if isinstance(record.build, str) else record.build
    given = weights if fetch_weights else None
    built: Backbone = build(num_classes=num_classes, num_channels=num_channels, weights=given, **values)
    return built


def small_cnn(*, num_classes: int, num_channels: int, weights: str | None) -> Backbone:
    """`SmallCnn`, which takes gray or color images as they are stored."""
    from wsml_study.training.small_cnn import SmallCnn

    assert weights is None, "refused before"
    network = SmallCnn(num_channels, num_classes)
    return Backbone(network=network, head=network.head, num_channels=num_channels)


def linear(*, num_classes: int, num_channels: int, weights: str | None) -> Backbone:
    """No network: `LinearClassifier` is the head on given features.

    Raises:
        TrainingError: always, since images were given.
    """
    del num_classes, num_channels, weights
    raise TrainingError("model.backbone: linear takes given features (data.dataset: features), not images")
