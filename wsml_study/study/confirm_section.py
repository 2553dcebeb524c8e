"""Section `confirm`: the best configs of the search run again over fresh seeds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wsml_study.description import Description, PositiveInt


class Confirm(Description):
    """After the search, the best configs run again over fresh seeds: the best trial of a search is partly luck."""

    top: PositiveInt = Field(
        default=3,
        description="Number of configs besides the baseline: the best of each of the best methods, then the next best.",
    )
    seeds: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=5,
        description="Number of seeds and draws of the hidden labels per config; the same ones for all configs.",
    )
