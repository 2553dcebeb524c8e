"""The classifier: a backbone with ImageNet or fresh weights, and one head with a logit per class; or the head alone.

Shapes: B images, C classes, D features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from wsml_study.errors import TrainingError
from wsml_study.training.trial_data import Scaling

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class SmallCnn(nn.Module):
    """Two convolutions and a head on the strongest response of each feature, for scenes of a few dozen pixels.

    Group instead of batch normalization: a batch shared by several workers gives the same gradients as on one.
    """

    def __init__(self, num_channels: int, num_classes: int, width: int = 32) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(num_channels, width, 5, stride=2, padding=2),
            nn.GroupNorm(4, width),
            nn.ReLU(),
            nn.Conv2d(width, 4 * width, 3, padding=1),
            nn.GroupNorm(4, 4 * width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Linear(4 * width, num_classes)

    def forward(self, images_BcHW: Tensor) -> Tensor:
        """Logits (B, C) of images (B, channels, H, W)."""
        logits_BC: Tensor = self.head(self.features(images_BcHW).amax(dim=(2, 3)))
        return logits_BC


class Classifier(nn.Module):
    """Images as stored, uint8 (B, channels, H, W), to logits (B, C); knows its head from its backbone."""

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
        fetch_weights: bool = True,
    ) -> None:
        """Build the network.

        Args:
            backbone: `small_cnn` or a torchvision classification model.
            num_classes: logits per image.
            num_channels: 1 (gray) or 3 (RGB) as stored. torchvision's models see gray three times.
            weights: torchvision's name of weights, or a .pth file of the whole ImageNet model; None for random ones.
            head: `linear` (by default) or `boostlu`.
            fetch_weights: False builds the same network without opening or downloading its weights, for a caller who
                loads a trained state.

        Raises:
            TrainingError: the backbone or its weights are unknown, absent, or do not fit each other or the head.
        """
        super().__init__()
        if backbone == "small_cnn":
            if weights is not None:
                raise TrainingError(
                    f"model.weights: small_cnn has no published weights, got {weights!r}; remove the key"
                )
            self.network: nn.Module = SmallCnn(num_channels, num_classes)
            self.head: nn.Linear = self.network.head
        else:
            from wsml_study.training.backbones import torchvision_network  # imports torchvision

            self.network = torchvision_network(backbone, weights if fetch_weights else None)
            self.head = _replace_head(self.network, num_classes)
        if head == "boostlu":
            from wsml_study.training.boostlu import BoostLU  # imports torchvision

            self.network = BoostLU(self.network, self.head)
        # Convolutions run faster with the channels of a pixel side by side, on CPUs and on tensor cores.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.num_channels = 3 if backbone != "small_cnn" else num_channels
        mean, std = normalization_of(weights)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1) * 255, persistent=False)

    def forward(self, images_BcHW: Tensor) -> Tensor:
        """Logits (B, C)."""
        logits_BC: Tensor = self.network(self.normalized(images_BcHW))
        return logits_BC

    def normalized(self, images_BcHW: Tensor) -> Tensor:
        """What the network takes: floats of about unit variance, gray ones three times over where it wants colors."""
        normalized_BcHW = (images_BcHW.to(self.mean.dtype) - self.mean) / self.std
        return normalized_BcHW.expand(-1, self.num_channels, -1, -1)

    def features(self, images_BcHW: Tensor) -> Tensor:
        """What the head makes logits of: features (B, D)."""
        given: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
        try:
            self(images_BcHW)
        finally:
            hook.remove()
        return given[0]

    def parameter_groups(self, learning_rate: float, head_multiplier: float) -> list[dict[str, Any]]:
        """Two groups for an optimizer: the backbone, and the head at a multiple of the learning rate."""
        in_head = {id(parameter) for parameter in self.head.parameters()}
        backbone = [parameter for parameter in self.parameters() if id(parameter) not in in_head]
        return [
            {"params": backbone, "lr": learning_rate},
            {"params": list(self.head.parameters()), "lr": learning_rate * head_multiplier},
        ]


class LinearClassifier(nn.Module):
    """Features (B, D) to logits (B, C): a head alone, with the scaling of its features."""

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
        """What the head makes logits of: scaled features (B, D)."""
        return (features_BD - self.mean_D) / self.deviation_D


def normalization_of(weights: str | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in [0, 1] that go with these weights of a backbone."""
    return ((0.5,), (0.5,)) if weights is None else (IMAGENET_MEAN, IMAGENET_STD)


def check_model(backbone: str, weights: str | None, head: str | None) -> None:
    """Build the backbone once, so that one which cannot be had is told before anything runs.

    Raises:
        TrainingError: the backbone or its weights are unknown, absent, or do not fit each other or the head.
    """
    if backbone == "linear":
        return  # there is nothing to it but the head
    Classifier(backbone, num_classes=1, num_channels=3, weights=weights, head=head)


def _replace_head(network: nn.Module, num_classes: int) -> nn.Linear:
    """Put a fresh linear layer in place of the network's last one."""
    linears = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise TrainingError(f"model.backbone: {type(network).__name__} ends in no linear layer to put the head in")
    parent_name, _, child_name = linears[-1].rpartition(".")
    last = network.get_submodule(linears[-1])
    head = nn.Linear(int(last.in_features), num_classes)  # type: ignore[arg-type]
    setattr(network.get_submodule(parent_name), child_name, head)
    return head
