"""What every backbone of ours or of a plug-in says of itself, and all of them by name; no torch here.

`model.backbone` also takes any torchvision classification model by its name there; those have no record.
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
        name: as `model.backbone` has it.
        position: where lists show it.
        title: what it is, in a line.
        build: makes a `wsml_study.training.backbones.Backbone`; a function, or `module:function`, called as
            `build(num_classes=C, num_channels=1 or 3, weights=None or a file, **options)`. Equal seeds of torch must
            give equal networks.
        any_size: it takes images of every size, so that a study of it needs no look at a network before it runs.
        takes_weights: `model.weights` may name a file.
        options: further keys of the section `model`.
        requires: packages that it needs beyond those that every installation has.
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
"""Our own backbones and those of plug-ins by name, in the order in which to show them."""
