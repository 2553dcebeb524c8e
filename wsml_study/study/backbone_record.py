"""The record of a backbone, built in or from a plug-in, and the registry of all of them. Imports no torch.

`model.backbone` also takes any torchvision classification model by its torchvision name; those have no record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wsml_study.options import Option
from wsml_study.registry import LAST, Registry, Requirement


@dataclass(frozen=True, kw_only=True)
class BackboneRecord:
    """A network from images to logits.

    Attributes:
        name: value of `model.backbone`.
        position: place in lists, ascending.
        title: one-line description.
        build: makes a `wsml_study.training.backbones.Backbone`; a function, or `module:function`, called as
            `build(num_classes=C, num_channels=1 or 3, weights=None or a file, **options)`. Equal seeds of torch must
            give equal networks.
        any_size: it takes images of every size, so that `check` and `run` skip the forward pass that tests the study's
            size.
        takes_weights: `model.weights` may name a file of weights.
        options: further keys of the section `model`.
        requires: packages needed beyond the dependencies of wsml-study.
    """

    name: str
    position: int = LAST
    title: str
    build: str | Callable[..., Any]
    any_size: bool = False
    takes_weights: bool = False
    options: tuple[Option, ...] = ()
    requires: tuple[Requirement, ...] = ()


BACKBONES: Registry[BackboneRecord] = Registry(
    "backbone", BackboneRecord, group="wsml_study.backbones", package="wsml_study.training", suffix="_entry"
)
"""Name -> record of the built-in and plug-in backbones, in display order."""
