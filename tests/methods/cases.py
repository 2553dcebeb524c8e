"""Every method, and every variant of those that have some, ready to try."""

from __future__ import annotations

import torch
from torch import Tensor

from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.contract import Method
from wsml_study.methods.creation import METHOD_NAMES, WITH_SCHEDULE, create_method
from wsml_study.methods.large_loss_entry import VARIANTS
from wsml_study.methods.schedules import schedule
from wsml_study.options import Value

VARIED = [f"{name} {variant}" for name in WITH_SCHEDULE for variant in VARIANTS if variant != "code"]
CASES = [*METHOD_NAMES, *VARIED]
"""Names, and names followed by a variant."""

STOPPED = {"ROLE", "GR", "CSL", "PU-MLC", "GPR"}
"""Those that stop gradients somewhere, so that their gradients are not those of their values."""


def options_of(case: str) -> dict[str, Value]:
    """The options that make a case: its variant, and those that have no default."""
    name, _, variant = case.partition(" ")
    needed = {"expected_positives": 1.5} if METHODS[name].option("expected_positives") else {}
    return needed | ({"variant": variant} if variant else {})


def create(case: str, labels_NC: Tensor, *, rate_per_epoch: float = 0.05, **values: Value) -> Method:
    """A fresh method, equal to any other of the same case and labels."""
    name = case.partition(" ")[0]
    torch.manual_seed(0)  # ROLE draws its first estimate
    course = schedule("linear", warmup_epochs=1, rate_per_epoch=rate_per_epoch) if name in WITH_SCHEDULE else None
    scores = {"scores_NC": scores_of(labels_NC)} if METHODS[name].takes_scores else {}
    return create_method(name, labels_NC=labels_NC, schedule=course, **scores, **(options_of(case) | values))


def scores_of(labels_NC: Tensor) -> Tensor:
    """Given scores of images, evenly spread; the same for equally many images and classes."""
    return torch.rand(labels_NC.shape, generator=torch.Generator().manual_seed(5))
