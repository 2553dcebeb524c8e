"""Libraries of pretrained networks whose models are backbones: `timm/NAME` and `open_clip/NAME`. Imports none of them.

`timm/NAME` is a model of timm, `open_clip/NAME` the image tower of a CLIP model. A name may end in `.TAG`, the tag of
its pretrained weights: `timm/vit_small_patch16_224.dino`. torchvision's models have no prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wsml_study.registry import Requirement

HUB_PREFIX = "hf-hub:"
"""Start of `model.weights` that name a repository of the Hugging Face hub: `hf-hub:owner/name`, `...@revision`."""

FILE_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


@dataclass(frozen=True, kw_only=True)
class BackboneLibrary:
    """A library of networks.

    Attributes:
        name: what stands before the slash in `model.backbone`.
        distribution: the name of its package.
        module: ours, with `network`, `identity_of_weights` and `normalization`.
        requires: the package that brings it.
    """

    name: str
    distribution: str
    module: str
    requires: Requirement


LIBRARIES: Mapping[str, BackboneLibrary] = MappingProxyType(
    {
        "timm": BackboneLibrary(
            name="timm",
            distribution="timm",
            module="wsml_study.training.timm_backbones",
            requires=Requirement(module="timm", install="pip install 'wsml-study[timm]'"),
        ),
        "open_clip": BackboneLibrary(
            name="open_clip",
            distribution="open_clip_torch",
            module="wsml_study.training.open_clip_backbones",
            requires=Requirement(module="open_clip", install="pip install 'wsml-study[open_clip]'"),
        ),
    }
)
"""Prefix -> library."""


def library_of(backbone: str) -> BackboneLibrary | None:
    """The library that a backbone's prefix names; None without one.

    >>> library_of("timm/resnet50").name
    'timm'
    >>> library_of("resnet50") is None
    True
    """
    prefix, slash, _ = backbone.partition("/")
    return LIBRARIES.get(prefix) if slash else None


def name_and_tag(backbone: str) -> tuple[str, str | None]:
    """The model's name in its library, and the tag of weights that it ends in.

    >>> name_and_tag("timm/vit_small_patch16_224.dino")
    ('vit_small_patch16_224', 'dino')
    >>> name_and_tag("open_clip/ViT-B-16")
    ('ViT-B-16', None)
    """
    name, _, tag = backbone.partition("/")[2].partition(".")
    return name, tag or None


def is_weights_file(weights: str) -> bool:
    """Whether `model.weights` is a file, and not the name of published weights or a repository of the hub."""
    return not weights.startswith(HUB_PREFIX) and weights.endswith(FILE_SUFFIXES)
