"""Entries of the section `search`: the values of a searched key, and the conditions under which it is searched."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from wsml_study.description import Description, PositiveInt, Scalar


class FloatRange(Description):
    """A range of real numbers, both ends included."""

    low: float = Field(description="The smallest value.")
    high: float = Field(description="The largest value.")
    log: bool = Field(default=False, description="Search on a logarithmic scale.")
    step: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Search only low, low + step, and so on."
    )

    @model_validator(mode="after")
    def _makes_a_range(self) -> Self:
        _check_range(self)
        return self


class IntRange(Description):
    """A range of whole numbers, both ends included."""

    low: int = Field(description="The smallest value.")
    high: int = Field(description="The largest value.")
    log: bool = Field(default=False, description="Search on a logarithmic scale.")
    step: PositiveInt | None = Field(default=None, description="Search only low, low + step, and so on; 1 by default.")

    @model_validator(mode="after")
    def _makes_a_range(self) -> Self:
        _check_range(self)
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


class Parameter(Description):
    """The entry of one searched key: exactly one of choice, float and int, and its conditions."""

    choice: tuple[Scalar, ...] | None = Field(
        default=None, min_length=1, strict=False, description="Search these values."
    )
    float: FloatRange | None = Field(default=None, description="Search a range of real numbers.")
    int: IntRange | None = Field(default=None, description="Search a range of whole numbers.")
    when: dict[str, Annotated[tuple[Scalar, ...], Field(strict=False)]] | None = Field(
        default=None, description="Search this key only where other keys have one of the listed values."
    )

    @model_validator(mode="after")
    def _one_domain(self) -> Self:
        given = [name for name in ("choice", "float", "int") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of choice, float, int; got {' and '.join(given) or 'none of them'}")
        return self

    @property
    def domain(self) -> tuple[Scalar, ...] | FloatRange | IntRange:
        """The listed values or the range."""
        domain = self.choice or self.float or self.int
        assert domain is not None
        return domain
