"""What is compared of two trials that should be equal bit for bit."""

from __future__ import annotations

import io
from typing import Any

import torch

from wsml_study.training.trial import EpochResult


def without_times(result: EpochResult) -> dict[str, Any]:
    """All of an epoch's result but how long it took."""
    return {
        name: value
        for name, value in vars(result).items()
        if not name.endswith("_seconds") and name != "trained_together"
    }


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """A state as a checkpoint gives it back."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    loaded: dict[str, Any] = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    return loaded
