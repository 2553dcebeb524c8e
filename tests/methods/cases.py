"""Every method, and every variant of those that have some, ready to try."""

from __future__ import annotations

import torch
from torch import Tensor

from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.contract import Method
from wsml_study.methods.creation import METHOD_NAMES, WITH_SCHEDULE, create_method
from wsml_study.methods.large_loss_entry import VARIANTS
from wsml_study.methods.schedules import schedule

VARIED = [f"{name} {variant}" for name in WITH_SCHEDULE for variant in VARIANTS if variant != "code"]
CASES = [*METHOD_NAMES, *VARIED]
"""Names, and names followed by a variant."""

STOPPED = {"ROLE", "GR", "CSL"}
"""Those that stop gradients somewhere, so that their gradients are not those of their values."""


def create(case: str, labels_NC: Tensor, *, rate_per_epoch: float = 0.05, **values: object) -> Method:
    """A fresh method, equal to any other of the same case and labels."""
    name, _, variant = case.partition(" ")
    torch.manual_seed(0)  # ROLE draws its first estimate
    course = schedule("linear", warmup_epochs=1, rate_per_epoch=rate_per_epoch) if name in WITH_SCHEDULE else None
    if METHODS[name].option("expected_positives"):
        values.setdefault("expected_positives", 1.5)
    return create_method(name, labels_NC=labels_NC, schedule=course, variant=variant or None, **values)
