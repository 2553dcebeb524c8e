"""Section `confirm`: what runs again once the search has ended."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wsml_study.description import Description, PositiveInt


class Confirm(Description):
    """What runs again once the search has ended, so that its best is no stroke of luck."""

    top: PositiveInt = Field(
        default=3,
        description="How many configs beside the baseline: the best of each of the best methods, then the next best.",
    )
    seeds: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=5, description="Each config runs with so many seeds and draws of the hidden labels, the same for all."
    )
