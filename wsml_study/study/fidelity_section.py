"""Section `fidelity`: the cheaper levels of a multi-fidelity search (as in successive halving)."""

from __future__ import annotations

from pydantic import Field

from wsml_study.description import Description, PositiveInt, Scalar


class Level(Description):
    """A cheaper level of fidelity: all configs run here first, and only the best of them run at the next level."""

    set: dict[str, Scalar] = Field(
        min_length=1, description="The cheaper settings: dotted key of the base config -> its value at this level."
    )
    survivors: PositiveInt = Field(
        description="Number of the level's best configs that run at the next level; after the last level, at full size."
    )
