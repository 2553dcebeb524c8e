"""What every tracker says of itself, and all of them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wsml_study.options import Limits, Value
from wsml_study.registry import LAST, Registry, Requirement


@dataclass(frozen=True, kw_only=True)
class TrackerRecord:
    """A program that shows a study as it runs.

    Attributes:
        name: a key of the section `tracking`.
        position: where lists show it.
        meaning: what the key's value is, in a sentence.
        limits: which values the key takes.
        default: the key's value where the study file has none; None and False leave the tracker out.
        open: makes the `Tracker`; a function or class, or `module:attribute`, called as `open(study, folder, value)`.
        requires: packages that it needs beyond those that every installation has.
    """

    name: str
    position: int = LAST
    meaning: str
    limits: Limits
    default: Value | None = None
    open: str | Callable[..., Any]
    requires: tuple[Requirement, ...] = ()


TRACKERS: Registry[TrackerRecord] = Registry(
    "tracker", TrackerRecord, group="wsml_study.trackers", package="wsml_study.tuning.tracking", suffix="_entry"
)
"""All trackers by name, in the order in which to show them."""
