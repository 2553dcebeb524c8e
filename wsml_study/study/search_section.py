"""Entries of the section `search`: the values of a searched key, and the conditions under which it is searched."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from wsml_study.description import Description, PositiveInt, Scalar


class Prior(Description):
    """Where the best value of a range probably is: a normal distribution, cut off at the ends of the range."""

    mean: float = Field(description="The most probable value.")
    deviation: Annotated[float, Field(gt=0)] = Field(
        description="Standard deviation; on a logarithmic scale a factor greater than 1, such as 2."
    )


PRIOR = "The probable best value, or its `mean` and `deviation`; by default all values are equally probable."
SIXTHS = 6
"""A range is as wide as so many deviations of a prior that is given as a number."""


class FloatRange(Description):
    """A range of real numbers, both ends included."""

    low: float = Field(description="The smallest value.")
    high: float = Field(description="The largest value.")
    log: bool = Field(default=False, description="Search on a logarithmic scale.")
    step: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Search only low, low + step, and so on."
    )
    prior: float | Prior | None = Field(default=None, description=PRIOR)

    @property
    def normal_prior(self) -> Prior | None:
        """The prior with a deviation; None without one."""
        return _normal(self)

    @model_validator(mode="after")
    def _makes_a_range(self) -> Self:
        _check_range(self)
        _check_prior(self)
        return self


class IntRange(Description):
    """A range of whole numbers, both ends included."""

    low: int = Field(description="The smallest value.")
    high: int = Field(description="The largest value.")
    log: bool = Field(default=False, description="Search on a logarithmic scale.")
    step: PositiveInt | None = Field(default=None, description="Search only low, low + step, and so on; 1 by default.")
    prior: float | Prior | None = Field(default=None, description=PRIOR)

    @property
    def normal_prior(self) -> Prior | None:
        """The prior with a deviation; None without one."""
        return _normal(self)

    @model_validator(mode="after")
    def _makes_a_range(self) -> Self:
        _check_range(self)
        _check_prior(self)
        return self


def _check_range(search_range: FloatRange | IntRange) -> None:
    low, high, step = search_range.low, search_range.high, search_range.step
    if not low < high:
        raise ValueError(f"expected low < high, got low={low}, high={high}")
    if search_range.log and low <= 0:
        raise ValueError(f"a logarithmic range needs low > 0, got low={low}")
    if search_range.log and step is not None:
        raise ValueError("a logarithmic range takes no `step`")
    # In decimal, as written: 0.3 - 0.1 is 0.19999999999999998 in binary, and a step of 0.2 would not fit.
    if step is not None and Decimal(str(step)) > Decimal(str(high)) - Decimal(str(low)):
        raise ValueError(f"expected a step that fits between low={low} and high={high}, got step={step}")


def _check_prior(search_range: FloatRange | IntRange) -> None:
    prior = _normal(search_range)
    if prior is None:
        return
    low, high = search_range.low, search_range.high
    if not low <= prior.mean <= high:
        raise ValueError(f"expected a prior between low={low} and high={high}, got {prior.mean}")
    if search_range.log and prior.deviation <= 1:
        raise ValueError(f"on a logarithmic scale a deviation is a factor greater than 1, got {prior.deviation}")


def _normal(search_range: FloatRange | IntRange) -> Prior | None:
    prior, low, high = search_range.prior, search_range.low, search_range.high
    if prior is None or isinstance(prior, Prior):
        return prior
    deviation = (high / low) ** (1 / SIXTHS) if search_range.log else (high - low) / SIXTHS
    return Prior(mean=prior, deviation=deviation)


Share = Annotated[float, Field(ge=0, le=1)]
"""A fraction."""

Weight = Annotated[float, Field(ge=0)]
"""Of a choice; `Parameter` has a field called float."""


class Estimated(Description):
    """The estimate that a range came from: the share of false negatives among all training labels."""

    share: Share = Field(description="The estimate, a fraction.")
    low: Share = Field(description="Low end of its 95 % interval.")
    high: Share = Field(description="High end of its 95 % interval.")
    basis: str = Field(description="The labels that it comes from.")

    @property
    def text(self) -> str:
        """Such as `about 2.41 % of the training labels are false negatives (95 % interval 2.05 to 2.77), by ...`."""
        interval = f"95 % interval {100 * self.low:.2f} to {100 * self.high:.2f}"
        return (
            f"about {100 * self.share:.2f} % of the training labels are false negatives ({interval}), by {self.basis}"
        )


WIDEST = {"low": 1e-5, "high": 0.5, "log": True}
"""The range of an `auto` entry until the data has been read."""


class Parameter(Description):
    """The entry of one searched key: exactly one of choice, float, int and auto, and its conditions."""

    choice: tuple[Scalar, ...] | None = Field(
        default=None, min_length=1, strict=False, description="Search these values."
    )
    float: FloatRange | None = Field(default=None, description="Search a range of real numbers.")
    int: IntRange | None = Field(default=None, description="Search a range of whole numbers.")
    weights: tuple[Weight, ...] | None = Field(
        default=None,
        strict=False,
        description="How probable it is that each choice is the best, in proportion and in the order of `choice`; by "
        "default all are equally probable.",
    )
    auto: Literal[True] | str | Estimated | None = Field(
        default=None,
        description="`true` for a rejection rate: its range comes from the share of false negatives, which is "
        "estimated from the data when the study begins; or the folder of an earlier study, whose answers give the "
        "share. The study's record has the range and the estimate.",
    )
    when: dict[str, Annotated[tuple[Scalar, ...], Field(strict=False)]] | None = Field(
        default=None, description="Search this key only where other keys have one of the listed values."
    )

    @model_validator(mode="before")
    @classmethod
    def _range_until_the_data_is_read(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("auto") is False:
            raise ValueError("expected `auto: true`, or a range in its place, such as float: {low: 0.001, high: 0.03}")
        if not (isinstance(content, dict) and (content.get("auto") is True or isinstance(content.get("auto"), str))):
            return content
        given = {name: content[name] for name in ("choice", "float", "int") if content.get(name) is not None}
        if given not in ({}, {"float": WIDEST}):
            raise ValueError(f"expected exactly one of choice, float, int, auto; got auto and {' and '.join(given)}")
        return {**content, "float": WIDEST}

    @model_validator(mode="after")
    def _one_domain(self) -> Self:
        given = [name for name in ("choice", "float", "int") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of choice, float, int; got {' and '.join(given) or 'none of them'}")
        if self.weights is not None:
            self._check_weights(self.weights)
        return self

    def _check_weights(self, weights: tuple[Weight, ...]) -> None:
        if self.choice is None:
            raise ValueError("`weights` go with `choice`; a range takes a `prior`")
        if len(weights) != len(self.choice):
            raise ValueError(f"expected a weight for each of the {len(self.choice)} choices, got {len(weights)}")
        if not sum(weights):
            raise ValueError("expected at least one weight greater than 0")

    @property
    def has_prior(self) -> bool:
        """Whether some values are said to be more probable than others."""
        ranged = self.float or self.int
        return self.weights is not None or (ranged is not None and ranged.prior is not None)

    @property
    def domain(self) -> tuple[Scalar, ...] | FloatRange | IntRange:
        """The listed values or the range."""
        domain = self.choice or self.float or self.int
        assert domain is not None
        return domain
