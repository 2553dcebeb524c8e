"""What pretrained weights of a backbone stand for, and the normalization of pixels that goes with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wsml_study.errors import TrainingError
from wsml_study.registry import implementation
from wsml_study.study.backbone_library import BackboneLibrary, library_of

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per channel of pixels in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """How images were prepared when weights of a library were trained.

    Attributes:
        mean, std: per channel, of pixels in [0, 1].
        image_size: pixels of a side.
        interpolation: by which images were resized, such as `bicubic`.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int
    interpolation: str


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
    known = pretraining_of(backbone, weights)
    if known is not None:
        return known.mean, known.std
    return IMAGENET_MEAN, IMAGENET_STD


def pretraining_of(backbone: str, weights: str | None) -> Pretraining | None:
    """How images were prepared for weights of timm or open_clip; None for other ones, and for random weights.

    Raises:
        TrainingError: there are no such weights.
    """
    library = library_of(backbone)
    if library is None or weights is None:
        return None
    known: Pretraining = function_of(library, "pretraining")(backbone, weights)
    return known


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
