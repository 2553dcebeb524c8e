"""Values of different keys that contradict each other, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.method_record import MethodRecord
from wsml_study.study.training_section import OFF

PROBE_MODES = ("linear", "linear_init")
"""Values of `training.mode` that begin with a linear probe on features of a frozen backbone."""


@dataclass(frozen=True, kw_only=True)
class Clash:
    """One contradiction.

    Attributes:
        key: dotted path of the key that the user most likely wants to change.
        others: dotted paths of the keys that it contradicts.
        message: what was expected, what came, and the remedy.
    """

    key: str
    others: tuple[str, ...]
    message: str

    @property
    def about(self) -> frozenset[str]:
        """All keys of the contradiction."""
        return frozenset((self.key, *self.others))


def clashes(
    *,
    dataset: str,
    backbone: str,
    weights: str | None,
    head: str | None,
    mode: str | None,
    method: str,
    mixup: str | None,
    has_lora: bool,
) -> list[Clash]:
    """Contradictions among the values of a trial config; None stands for an absent key."""
    found = _of_given_features if dataset == "features" else _of_images
    return [
        *found(backbone=backbone, weights=weights, head=head, mode=mode),
        *_of_mixtures(method=method, mixup=mixup),
        *(_of_lora(head) if has_lora else ()),
    ]


def _of_given_features(*, backbone: str, weights: str | None, head: str | None, mode: str | None) -> Iterator[Clash]:
    if backbone != "linear":
        message = f"dataset features needs `linear`, got `{backbone}`: there are no images"
        yield Clash(key="model.backbone", others=("data.dataset",), message=message)
        return
    if weights is not None:
        message = f"backbone linear takes no pretrained weights, got `{weights}`; remove the key"
        yield Clash(key="model.weights", others=("model.backbone", "data.dataset"), message=message)
    if head == "boostlu":
        message = "boostlu boosts a feature map, and given features have none; use `linear`"
        yield Clash(key="model.head", others=("data.dataset",), message=message)
    if mode in PROBE_MODES:
        message = f"`{mode}` freezes a backbone, and given features have none; remove the key"
        yield Clash(key="training.mode", others=("data.dataset",), message=message)


def _of_images(*, backbone: str, weights: str | None, head: str | None, mode: str | None) -> Iterator[Clash]:
    if backbone == "linear":
        message = "`linear` takes given features (`dataset: features`), not images; for a linear probe, name a "
        message += "backbone here and set `training.mode: linear`"
        yield Clash(key="model.backbone", others=("data.dataset",), message=message)
    elif mode in PROBE_MODES and head == "boostlu":
        message = (
            f"boostlu boosts a feature map, and mode {mode} trains on pooled features, which have none; use `linear`"
        )
        yield Clash(key="model.head", others=("training.mode",), message=message)
    elif mode in PROBE_MODES and weights is None:
        message = f"mode {mode} freezes the backbone, whose random weights give poor features; set pretrained weights"
        yield Clash(key="model.weights", others=("training.mode",), message=message)


def _of_mixtures(*, method: str, mixup: str | None) -> Iterator[Clash]:
    reasons = {name: why for name, record in METHODS.items() if (why := _why_no_mixtures(record)) is not None}
    if mixup not in (None, OFF["mixup"]) and method in reasons:
        fitting = ", ".join(name for name in METHODS if name not in reasons)
        message = f"method {method} {reasons[method]}; it goes with {fitting}"
        yield Clash(key="training.mixup", others=("method.name",), message=message)


def _why_no_mixtures(record: MethodRecord) -> str | None:
    if record.by_image:
        return "looks up labels by training image, and a mixture is none of them"
    if record.takes_views:
        return "compares views of an image, and a mixture has none"
    return None


def _of_lora(head: str | None) -> Iterator[Clash]:
    if head == "boostlu":
        message = "boostlu takes the network apart at its feature map, and LoRA changes its layers; use `linear`"
        yield Clash(key="model.head", others=("model.lora",), message=message)
