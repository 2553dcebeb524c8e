"""Studies of how a weakly supervised multi-label classifier should treat its unobserved labels."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from wsml_study.openmp import limit_spinning

if TYPE_CHECKING:
    from wsml_study.inference.model import load_model
    from wsml_study.inference.pointing_game import play_pointing_game
    from wsml_study.inference.thresholds import choose_thresholds
    from wsml_study.python_api import Study, run
    from wsml_study.report.loading import load

__all__ = ["Study", "choose_thresholds", "load", "load_model", "play_pointing_game", "run"]

_ON_DEMAND = {
    "Study": "wsml_study.python_api",
    "choose_thresholds": "wsml_study.inference.thresholds",
    "load": "wsml_study.report.loading",
    "load_model": "wsml_study.inference.model",
    "play_pointing_game": "wsml_study.inference.pointing_game",
    "run": "wsml_study.python_api",
}
"""What Python programs use -> the module that has it, imported when it is first used: torch and pandas take seconds."""

limit_spinning(os.environ)  # before anything here loads torch


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ON_DEMAND[name]), name)
