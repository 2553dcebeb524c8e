"""The classifier: a backbone with ImageNet or random weights and one linear head; or only the head, on features.

Shapes: B images, C classes, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from wsml_study.options import Value
from wsml_study.training.backbones import build_backbone
from wsml_study.training.pretrained_weights import normalization_of
from wsml_study.training.stages import stages_of
from wsml_study.training.trial_data import Scaling


class Classifier(nn.Module):
    """Images as stored, uint8 (B, channels, H, W), to logits (B, C).

    Attributes:
        network: normalized images to logits, the head included.
        head: the network's last layer.
        num_channels: of the images that the network takes.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str,
        *,
        num_classes: int,
        num_channels: int,
        weights: str | None = None,
        head: str | None = None,
        image_size: int | None = None,
        fetch_weights: bool = True,
        options: Mapping[str, Value | None] | None = None,
    ) -> None:
        """Build the network.

        Args:
            backbone: as `build_backbone`.
            num_classes: logits per image.
            num_channels: 1 (gray) or 3 (RGB) as stored. Models of libraries see gray three times.
            weights: the library's name of weights, or a file of the whole pretrained model; None for random ones.
            head: `linear` (by default) or `boostlu`.
            image_size: pixels of a side, for networks that are built for a size.
            fetch_weights: False builds the same network without opening or downloading its weights, for a caller who
                loads a trained state.
            options: of the backbone's record.

        Raises:
            TrainingError: the backbone or its weights are unknown, absent, or do not fit each other or the head.
        """
        super().__init__()
        built = build_backbone(
            backbone,
            num_classes=num_classes,
            num_channels=num_channels,
            weights=weights,
            image_size=image_size,
            fetch_weights=fetch_weights,
            options=options,
        )
        self.network, self.head, self.num_channels = built.network, built.head, built.num_channels
        if head == "boostlu":
            from wsml_study.training.boostlu import BoostLU  # imports torchvision

            self.network = BoostLU(self.network, self.head)
        # Convolutions run faster with the channels of a pixel side by side, on CPUs and on tensor cores.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        mean, std = normalization_of(backbone, weights)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1) * 255, persistent=False)

    def forward(self, images_BcHW: Tensor) -> Tensor:
        """Logits (B, C)."""
        logits_BC: Tensor = self.network(self.normalized(images_BcHW))
        return logits_BC

    def normalized(self, images_BcHW: Tensor) -> Tensor:
        """The network's input: floats of about unit variance; gray images are repeated to its number of channels."""
        normalized_BcHW = (images_BcHW.to(self.mean.dtype) - self.mean) / self.std
        return normalized_BcHW.expand(-1, self.num_channels, -1, -1)

    def features(self, images_BcHW: Tensor) -> Tensor:
        """Features (B, D): what the head gets."""
        # A hook on the head works for any network, wherever in it the head is.
        given: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
        try:
            self(images_BcHW)
        finally:
            hook.remove()
        return given[0]

    def train(self, mode: bool = True) -> Classifier:
        """As torch's, but that frozen batch normalizations stay in evaluation mode, with the statistics they have."""
        super().train(mode)
        if mode:
            for module in self.modules():
                if isinstance(module, _BatchNorm) and module.affine and not module.weight.requires_grad:
                    module.eval()
        return self

    def parameter_groups(
        self, learning_rate: float, head_multiplier: float, layer_decay: float | None = None
    ) -> list[dict[str, Any]]:
        """Groups of what learns, for an optimizer: the backbone, and the head at a multiple of the learning rate.

        Args:
            learning_rate: of the backbone.
            head_multiplier: of that, the head's.
            layer_decay: each stage of the backbone learns at this share of the rate of the stage behind it, the last
                one at this share of `learning_rate`, as in the code of MAE (He et al., CVPR 2022); None for one rate.
        """
        in_head = {id(parameter) for parameter in self.head.parameters()}
        backbone = {
            name: parameter
            for name, parameter in self.network.named_parameters()
            if id(parameter) not in in_head and parameter.requires_grad
        }
        groups = [{"params": list(self.head.parameters()), "lr": learning_rate * head_multiplier}]
        if layer_decay is None:
            return [{"params": list(backbone.values()), "lr": learning_rate}, *groups] if backbone else groups
        stages = stages_of(self.network, self.head)
        parts = [*stages.parameters, stages.tail]
        rates = [learning_rate * layer_decay ** (len(stages.parameters) - place) for place in range(len(parts))]
        scaled = [
            {"params": [backbone[name] for name in names if name in backbone], "lr": rate}
            for names, rate in zip(parts, rates, strict=True)
        ]
        return [*(group for group in scaled if group["params"]), *groups]


class LinearClassifier(nn.Module):
    """Features (B, D) to logits (B, C): a linear head, with the scaling of its features."""

    mean_D: Tensor
    deviation_D: Tensor

    def __init__(self, num_features: int, num_classes: int, *, scaling: Scaling | None = None) -> None:
        """Start with a fresh head.

        Args:
            num_features: D.
            num_classes: C.
            scaling: of features as they are given, which is saved with the weights; None takes them as they are.
        """
        super().__init__()
        self.head = nn.Linear(num_features, num_classes)
        mean_D, deviation_D = torch.zeros(num_features), torch.ones(num_features)
        if scaling is not None:
            mean_D, deviation_D = torch.tensor(scaling.mean_D), torch.tensor(scaling.deviation_D)
        self.register_buffer("mean_D", mean_D)
        self.register_buffer("deviation_D", deviation_D)

    def forward(self, features_BD: Tensor) -> Tensor:
        """Logits (B, C) of features as they are given."""
        logits_BC: Tensor = self.head(self.features(features_BD))
        return logits_BC

    def features(self, features_BD: Tensor) -> Tensor:
        """Scaled features (B, D): what the head gets."""
        return (features_BD - self.mean_D) / self.deviation_D
