"""What every section of the study file is made of: a frozen pydantic model that refuses what it does not know."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Scalar = bool | int | float | str
"""A single value of a study file."""

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


class Description(BaseModel):
    """Frozen; refuses unknown keys, "1" where a number is meant, and numbers that are not finite."""

    # A section is built when it is first used: most are only used as part of `Study`, which builds what it holds.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)
