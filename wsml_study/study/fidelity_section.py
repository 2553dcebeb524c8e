"""Section `fidelity`: the cheaper levels of a multi-fidelity search."""

from __future__ import annotations

from pydantic import Field

from wsml_study.description import Description, PositiveInt, Scalar


class Level(Description):
    """A cheaper look at all configs, before the best of them are looked at more closely."""

    set: dict[str, Scalar] = Field(
        min_length=1, description="What is cheaper: dotted key of the base config -> its value at this level."
    )
    survivors: PositiveInt = Field(
        description="How many of the level's best configs go on to the next level, after the last one to full size."
    )
