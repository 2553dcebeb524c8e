"""The record of an experiment tracker, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wsml_study.options import Limits, Value
from wsml_study.registry import LAST, Registry, Requirement


@dataclass(frozen=True, kw_only=True)
class TrackerRecord:
    """An experiment tracker, which shows a study while it runs.

    Attributes:
        name: key in the section `tracking`.
        position: place in lists, ascending.
        meaning: description of the key's value.
        limits: allowed values.
        default: value if the study file has none; None and False disable the tracker.
        open: makes the `Tracker`; a function or class, or `module:attribute`, called as `open(study, folder, value)`.
        requires: packages needed beyond the dependencies of wsml-study.
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
"""Name -> record of all trackers, in display order."""
