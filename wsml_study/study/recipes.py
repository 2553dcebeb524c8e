"""Recipes by name: the optimization of published code, as values of keys that a study file leaves out.

A recipe fills in keys of `training`, and mirroring; method, backbone, image size and labels stay the study's own.
Values are those of the public code, read in November 2026.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from wsml_study.description import Scalar
from wsml_study.study.key_rules import KEY_RULES, value_at
from wsml_study.study.published_protocol import PROTOCOLS, Protocol


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The optimization of published code.

    Attributes:
        source: paper and public code.
        values: dotted key -> value.
        beside: what else the code has, which the recipe does not set.
        by_dataset: whether the optimizer and its numbers are those of `PROTOCOLS`, by dataset.
    """

    source: str
    values: Mapping[str, Scalar]
    beside: str
    by_dataset: bool = False

    def values_for(self, dataset: Any) -> dict[str, Scalar]:
        """Dotted key -> value, for a dataset; another one than the papers' gets the defaults of the code."""
        protocol = PROTOCOLS.get(str(dataset)) if self.by_dataset else None
        return {**self.values, **(_published(protocol) if protocol is not None else {})}


def _published(protocol: Protocol) -> dict[str, Scalar]:
    keys = ("optimizer", "learning_rate", "momentum", "weight_decay")
    values = {key: getattr(protocol, key) for key in keys}
    return {f"training.{key}": value for key, value in values.items() if value is not None}


_SINGLE_POSITIVE: dict[str, Scalar] = {
    "training.optimizer": "adam",
    "training.learning_rate": 1e-5,
    "training.head_learning_rate_multiplier": 10.0,
    "training.weight_decay": 0.0,
    "training.precision": "fp32",
    "data.horizontal_flip": True,
}
"""What the code of Kim et al. and that of GR share: both go back to Cole et al., CVPR 2021."""

_ASYMMETRIC: dict[str, Scalar] = {
    "training.epochs": 80,
    "training.batch_size": 128,
    "training.optimizer": "adam",
    "training.learning_rate": 1e-4,
    "training.head_learning_rate_multiplier": 1.0,
    "training.weight_decay": 1e-4,
    "training.weight_decay_on": "weights",
    "training.learning_rate_schedule": "one_cycle",
    "training.one_cycle_peak": 0.2,
    "training.ema_decay": 0.9997,
    "training.cutout": 0.5,
    "training.rand_augment": 2,
    "training.precision": "auto",
    "data.horizontal_flip": False,
}
"""What the code of ASL and that of SPLC and Hill, which is built on it, share."""

RECIPES = MappingProxyType(
    {
        "kim2022": Recipe(
            source="Kim et al., CVPR 2022; snucml/LargeLossMatters, config.py, train.py, datasets.py",
            values={
                "training.epochs": 10,
                "training.batch_size": 16,
                "training.stop_below_best": 3.0,
                **_SINGLE_POSITIVE,
            },
            by_dataset=True,
            beside="resnet50 with IMAGENET1K_V1, images of 448 x 448 pixels",
        ),
        "asl2021": Recipe(
            source="Ridnik et al., ICCV 2021; Alibaba-MIIL/ASL, train.py",
            values={**_ASYMMETRIC, "training.stop_after_epoch": 41},
            beside="TResNet-M, images of 224 x 224 pixels (448 in the paper), pixels from 0 to 1, fp16, RandAugment "
            "of the package randaugment (two operations, each for half of the images, of random strength)",
        ),
        "splc2022": Recipe(
            source="Zhang et al., arXiv 2112.07368; xinyu1205/robust-loss-mlml, train.py",
            values={**_ASYMMETRIC, "training.stop_after_epoch": 31},
            beside="resnet50, images of 448 x 448 pixels, pixels from 0 to 1, fp16, RandAugment of the "
            "package randaugment (two operations, each for half of the images, of random strength)",
        ),
        "gr2024": Recipe(
            source="Chen et al., IJCAI 2024; yan4xi1/GRLoss, config.py, train.py, datasets.py",
            values={
                "training.epochs": 8,
                "training.batch_size": 8,
                "training.stop_below_best": 2.0,
                **_SINGLE_POSITIVE,
            },
            beside="resnet50 with ImageNet weights, images of 448 x 448 pixels",
        ),
    }
)


def with_recipe(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a study file with what its `recipe` fills in.

    Keys that the file has stay as they are. A value that does not go with these is left out: a key that the study's
    mode, schedule or data do not take, and `stop_after_epoch` where the study searches, trains in another mode than end
    to end, or has epochs of its own.

    Args:
        content: plain, not validated; a recipe that is unknown, or a section that is none, stays for validation.
    """
    name = content.get("recipe")
    if not isinstance(name, str) or name not in RECIPES:
        return content
    filled = copy.deepcopy(content)
    values = RECIPES[name].values_for(value_at(content, "data.dataset"))
    for key in [key for key, value in values.items() if _put(filled, key, value)]:
        if not _taken(filled, key, given=content):
            section, _, last = key.rpartition(".")
            del filled[section][last]
    return filled


def _put(content: dict[str, Any], key: str, value: Scalar) -> bool:
    """Fill in a key that the content lacks; whether it did."""
    section, _, last = key.rpartition(".")
    held = content.setdefault(section, {})
    if not isinstance(held, dict) or last in held:
        return False
    held[last] = value
    return True


def _taken(content: dict[str, Any], key: str, *, given: dict[str, Any]) -> bool:
    """Whether a value of a recipe goes with the other keys of the study."""
    varied = {*_keys_of(content.get("search")), *_keys_of(content.get("factors"))}
    for rule in KEY_RULES:
        if rule.key != key or rule.controlling_key in varied:
            continue
        decision = (
            _mode(content) if rule.called == "mode" else value_at(content, rule.controlling_key) or rule.by_default
        )
        if decision is not None and decision not in rule.allowed_values:
            return False
    if key == "training.stop_after_epoch":
        own = value_at(given, "training.epochs") is not None
        return not own and not varied - {"training.seed"} and _mode(content) == "end_to_end"
    return True


def _mode(content: dict[str, Any]) -> Any:
    if value_at(content, "data.dataset") == "features":
        return "linear"
    return value_at(content, "training.mode") or "end_to_end"


def _keys_of(section: Any) -> list[str]:
    return [str(key) for key in section] if isinstance(section, dict) else []
