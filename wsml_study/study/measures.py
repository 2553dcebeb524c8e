"""What can be measured of a trial: the epoch metrics, and seconds; for a second objective and for constraints."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, create_model, model_validator

from wsml_study.description import Description
from wsml_study.study.metric_record import METRICS

TRAIN_SECONDS, TOTAL_SECONDS = "train_seconds", "total_seconds"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure of a trial.

    Attributes:
        title: one-line description.
        label: its name in figures.
        unit: of its values; empty if it has none.
        greater_is_better: whether a second objective is to be maximized.
        number_format: of a value without its unit, as Python and Vega have it.
    """

    title: str
    label: str
    unit: str = ""
    greater_is_better: bool = False
    number_format: str = ".4f"

    @property
    def axis(self) -> str:
        """The title of an axis or a column of values, with their unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def text(self, value: float) -> str:
        """A value with its unit."""
        return f"{value:{self.number_format}} {self.unit}".rstrip()

    @property
    def sign(self) -> int:
        """1 if larger is better, -1 if smaller is."""
        return 1 if self.greater_is_better else -1


SECONDS = {
    TRAIN_SECONDS: Measure(
        title="seconds of training per epoch, mean over the trial's epochs",
        label="training per epoch",
        unit="s",
        number_format=".3f",
    ),
    TOTAL_SECONDS: Measure(
        title="seconds of training and validation, all epochs of the trial together",
        label="training and validation",
        unit="s",
        number_format=".2f",
    ),
}

MEASURES = {
    **{
        name: Measure(
            title=f"{record.title}, on the validation images",
            label=f"validation {record.label}",
            unit="%" if record.percent else "",
            greater_is_better=record.greater_is_better,
            number_format=".2f" if record.percent else ".4f",
        )
        for name, record in METRICS.items()
    },
    **SECONDS,
}
"""Name -> measure. A metric is that of the epoch that the trial's objective is of."""


class MeasureName(StrEnum):
    """Names of measures, one member each."""

    vars().update({name.upper(): name for name in MEASURES})


class Bounds(Description):
    """The values that a measure may have."""

    min: float | None = Field(default=None, description="The smallest value that is allowed.")
    max: float | None = Field(default=None, description="The largest value that is allowed.")

    @model_validator(mode="after")
    def _bounds_hold_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("expected `min`, `max` or both, got neither")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"expected min <= max, got min={self.min:g}, max={self.max:g}")
        return self

    def __str__(self) -> str:
        """Such as `at least 60`."""
        least = None if self.min is None else f"at least {self.min:g}"
        most = None if self.max is None else f"at most {self.max:g}"
        return " and ".join(limit for limit in (least, most) if limit)

    def violation(self, value: float) -> float:
        """How far a value is outside; 0 or less inside."""
        below = [] if self.min is None else [self.min - value]
        above = [] if self.max is None else [value - self.max]
        return max(below + above)

    def broken_by(self, value: float) -> str:
        """What a value outside breaks, such as `58.2 < 60`."""
        rounded = f"{value:.4g}"
        shown = rounded if self.violation(float(rounded)) > 0 else f"{value:.12g}"
        return f"{shown} < {self.min:g}" if self.min is not None and value < self.min else f"{shown} > {self.max:g}"


class _Constraints(Description):
    """Measure -> the values that it may have in a trial that counts as an answer."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.bounds:
            raise ValueError("expected at least one measure, such as `of1: {min: 60}`, got none")
        for name, bounds in self.bounds.items():
            for key, limit in (("min", bounds.min), ("max", bounds.max)):
                if MEASURES[name].unit == "%" and limit is not None and 0 < limit < 1:
                    meant = f"{100 * limit:g}"
                    raise ValueError(f"{name} is in percent: expected {key} {meant}, if that is meant, got {limit:g}")
        return self

    @property
    def bounds(self) -> dict[str, Bounds]:
        """Measure -> its bounds, of those that are constrained."""
        given = {name: getattr(self, name) for name in MEASURES}
        return {name: bounds for name, bounds in given.items() if bounds is not None}


_FIELDS: dict[str, Any] = {
    name: (Bounds | None, Field(default=None, description=f"Bounds of: {measure.title}."))
    for name, measure in MEASURES.items()
}
Constraints = create_model("Constraints", __base__=_Constraints, __doc__=_Constraints.__doc__, **_FIELDS)
