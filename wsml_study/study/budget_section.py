"""Sections `budget` and `stop_when`: what a search may spend, and when it has found enough."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from wsml_study.description import Description, PositiveInt

UNBOUNDED_TRIALS = 1_000_000
"""`trials` of a study that has a `budget` and says no number of trials: only the budget ends its search."""

UNITS = {
    "h": ("hours", 1.0),
    "min": ("hours", 1 / 60),
    "s": ("hours", 1 / 3600),
    "epochs": ("epochs", 1.0),
    "gpuh": ("gpu_hours", 1.0),
}
"""Unit on the command line -> key of `Budget`, and how much of its unit one is."""

NAMES = {"hours": "hours", "epochs": "epochs", "gpu_hours": "GPU hours"}


class Budget(Description):
    """What a search may spend; the limit that is reached first ends it."""

    hours: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Hours in which the search runs, over all its runs; the time between runs is free."
    )
    epochs: PositiveInt | None = Field(
        default=None, description="Epochs of all trials together; one that is repeated after a crash counts again."
    )
    gpu_hours: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Hours in which trials are at work, times the GPUs of each."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not list(self.limits()):
            raise ValueError("expected `hours`, `epochs` or `gpu_hours`, or several of them")
        return self

    def limits(self) -> Iterator[tuple[str, float]]:
        """Key and value of each limit that is set."""
        for key in NAMES:
            value = getattr(self, key)
            if value is not None:
                yield key, value

    @property
    def described(self) -> str:
        """All limits in words.

        >>> Budget(hours=2, epochs=400).described
        '2 hours or 400 epochs'
        """
        return " or ".join(f"{value:g} {NAMES[key]}" for key, value in self.limits())


class StopWhen(Description):
    """A search that has found enough ends before its trials or its budget are used up."""

    expected_regret: Annotated[float, Field(gt=0)] = Field(
        description="End the search once the best possible config is expected to be better than the best one found by "
        "no more than this, in units of the objective: percentage points for mAP."
    )


def budget_of(text: str) -> Budget:
    """A budget as the command line takes it: limits with their units, separated by commas.

    >>> budget_of("2h,400epochs").described
    '2 hours or 400 epochs'

    Raises:
        ValueError: a part is not a positive number with a known unit, or a limit is named twice.
    """
    limits: dict[str, float] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", part)
        if found is None or found[2] not in UNITS:
            raise ValueError(f"expected a number with one of the units {', '.join(UNITS)}, such as 2h, got {part!r}")
        key, factor = UNITS[found[2]]
        if key in limits:
            raise ValueError(f"expected one limit in {NAMES[key]}, got two in {text!r}")
        if key == "epochs" and "." in found[1]:
            raise ValueError(f"expected a whole number of epochs, got {part!r}")
        limits[key] = int(found[1]) if key == "epochs" else float(found[1]) * factor
    if 0 in limits.values():
        raise ValueError(f"expected more than 0, got {text!r}")
    return Budget.model_validate(limits)
