"""Values of different keys that no trial can have together, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

HEAD_ALONE = ("linear", "linear_init")
"""Modes of training that begin with the head on features of a frozen backbone."""


@dataclass(frozen=True, kw_only=True)
class Clash:
    """One contradiction.

    Attributes:
        key: dotted path of what is most likely to be changed.
        others: dotted paths of what it contradicts.
        message: what was expected, what came, what to do.
    """

    key: str
    others: tuple[str, ...]
    message: str

    @property
    def about(self) -> frozenset[str]:
        """All keys that take part."""
        return frozenset((self.key, *self.others))


def clashes(*, dataset: str, backbone: str, weights: str | None, head: str | None, mode: str | None) -> list[Clash]:
    """What contradicts itself in the values of a trial config; None stands for an absent key."""
    found = _of_given_features if dataset == "features" else _of_images
    return list(found(backbone=backbone, weights=weights, head=head, mode=mode))


def _of_given_features(*, backbone: str, weights: str | None, head: str | None, mode: str | None) -> Iterator[Clash]:
    if backbone != "linear":
        message = f"dataset features needs `linear`, got `{backbone}`: features are no images"
        yield Clash(key="model.backbone", others=("data.dataset",), message=message)
        return
    if weights is not None:
        message = f"backbone linear has no weights to begin with, got `{weights}`; remove the key"
        yield Clash(key="model.weights", others=("model.backbone", "data.dataset"), message=message)
    if head == "boostlu":
        message = "boostlu boosts a feature map, and given features have none; use `linear`"
        yield Clash(key="model.head", others=("data.dataset",), message=message)
    if mode in HEAD_ALONE:
        message = f"`{mode}` freezes a backbone, and given features have none; remove the key"
        yield Clash(key="training.mode", others=("data.dataset",), message=message)


def _of_images(*, backbone: str, weights: str | None, head: str | None, mode: str | None) -> Iterator[Clash]:
    if backbone == "linear":
        message = "`linear` takes given features (`dataset: features`), not images; to freeze a backbone, name it here "
        message += "and say `mode: linear` under training"
        yield Clash(key="model.backbone", others=("data.dataset",), message=message)
    elif mode in HEAD_ALONE and head == "boostlu":
        message = f"boostlu boosts a feature map, and mode {mode} begins with features that have none; use `linear`"
        yield Clash(key="model.head", others=("training.mode",), message=message)
    elif mode in HEAD_ALONE and weights is None:
        message = f"mode {mode} freezes the backbone, which at random weights tells little; give it weights"
        yield Clash(key="model.weights", others=("training.mode",), message=message)
