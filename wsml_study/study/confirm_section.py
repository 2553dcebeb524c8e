"""Section `confirm`: the best configs of the search run again over fresh seeds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wsml_study.description import Description, PositiveInt
from wsml_study.study.method_section import MethodName

AUTO = "auto"
START_FROM = "start_from"
AT_MOST = 30
FEWEST_AT_MOST = 6
"""The smallest limit of seeds in rounds: the first round has five."""

SeedCount = Annotated[int, Field(ge=2, le=1000)]

StartPointName = Annotated[str, Field(pattern=rf"^{START_FROM} [1-9][0-9]*$")]
"""A config of section `start_from`, by its number, as `check` and the tables name it: `start_from 1`."""


class Confirm(Description):
    """After the search, the best configs run again over fresh seeds: the best trial of a search is partly luck."""

    top: PositiveInt = Field(
        default=3,
        description="Number of configs besides the baseline: the best of each of the best methods, then the next best.",
    )
    seeds: SeedCount | Literal["auto"] = Field(
        default=5,
        description="Number of seeds and draws of the hidden labels per config; the same ones for all configs. `auto` "
        "adds them in rounds until each comparison with the baseline is settled, or has little chance to be.",
    )
    at_most: Annotated[int, Field(ge=FEWEST_AT_MOST, le=1000)] = Field(
        default=AT_MOST, description="With `seeds: auto`, the largest number of seeds per config."
    )
    alpha: Annotated[float, Field(ge=0.0001, le=0.5)] = Field(
        default=0.05,
        description="Error rate over all comparisons with the baseline and all rounds: how often a confirmation in "
        "which nothing differs may claim a difference.",
    )
    margin: Annotated[float, Field(gt=0, le=100)] | None = Field(
        default=None,
        description="Points of test mAP within which a config counts as equivalent to the baseline, if tests show that "
        "the difference is smaller; without it no equivalence is tested.",
    )
    baseline: StartPointName | Annotated[MethodName, Field(strict=False)] | None = Field(
        default=None,
        union_mode="left_to_right",
        description="What the others are compared with: a method, by its best config, or a config of `start_from`, as "
        "in `start_from 1`; by default AN, else the best method without a rejection rate, else the search's best "
        "config.",
    )

    @model_validator(mode="after")
    def _at_most_goes_with_auto(self) -> Self:
        if self.at_most != AT_MOST and self.seeds != AUTO:
            raise ValueError(f"`at_most` goes with `seeds: auto`; expected no `at_most` beside `seeds: {self.seeds}`")
        return self

    @property
    def baseline_config(self) -> str | None:
        """The config of `start_from` that is the baseline, as trials name it; None where it is not one of these."""
        return str(self.baseline) if (self.baseline or "").startswith(START_FROM) else None

    @property
    def most_seeds(self) -> int:
        """The largest number of seeds per config."""
        return self.at_most if self.seeds == AUTO else int(self.seeds)
