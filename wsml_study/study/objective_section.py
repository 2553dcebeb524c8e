"""Section `objective`: what a trial is judged by."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsml_study.description import Description


class Objective(Description):
    """What a trial is judged by."""

    metric: Literal["best_val_map", "last_val_map"] = Field(
        default="best_val_map", description="Validation mAP of the best epoch, or of the last one."
    )
    mode: Literal["max"] = Field(default="max", description="More is better.")
