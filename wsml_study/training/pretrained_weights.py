"""What pretrained weights of a backbone stand for, and the normalization of pixels that goes with them."""

from __future__ import annotations

from typing import Any

from wsml_study.errors import TrainingError
from wsml_study.registry import implementation
from wsml_study.study.backbone_library import BackboneLibrary, library_of

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per channel of pixels in [0, 1]."""


def identity_of_weights(backbone: str, weights: str) -> str:
    """A string that differs wherever the features may differ: the library's version, backbone, the weights' address or
    the SHA-256 of their file, and the normalization where it is not the usual one.

    Raises:
        TrainingError: there are no such weights.
    """
    if (library := library_of(backbone)) is not None:
        identity: str = function_of(library, "identity_of_weights")(backbone, weights)
        return identity
    from wsml_study.training.torchvision_backbones import identity_of_weights as of_torchvision  # imports torchvision

    return of_torchvision(backbone, weights)


def normalization_of(backbone: str, weights: str | None) -> Normalization:
    """Mean and standard deviation per channel of pixels in [0, 1] that go with these weights of a backbone."""
    if weights is None:
        return (0.5,), (0.5,)
    if (library := library_of(backbone)) is not None:
        normalization: Normalization = function_of(library, "normalization")(backbone, weights)
        return normalization
    return IMAGENET_MEAN, IMAGENET_STD


def function_of(library: BackboneLibrary, name: str) -> Any:
    """A function of our module for a library.

    Raises:
        TrainingError: the library is not installed.
    """
    needed = library.requires
    if not needed.is_met:
        raise TrainingError(
            f"model.backbone: {library.name}/... needs the package {needed.module}, which is not installed: "
            f"{needed.install}"
        )
    return implementation(f"{library.module}:{name}")
