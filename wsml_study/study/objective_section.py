"""Section `objective`: the metric that trials are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from wsml_study.description import Description, PositiveInt
from wsml_study.options import Value
from wsml_study.study.measures import MEASURES, Bounds, Constraints, Measure, MeasureName
from wsml_study.study.metric_record import METRICS, MetricRecord
from wsml_study.study.option_fields import given_options, option_values, with_options

BEST, LAST = "best_val_", "last_val_"


class ObjectiveMetric(StrEnum):
    """Objectives: a metric of the validation images, of the best epoch or of the last one."""

    vars().update({f"{prefix}{name}".upper(): f"{prefix}{name}" for name in METRICS for prefix in (BEST, LAST)})


class EnoughPositives(Description):
    """Classes with enough positives."""

    min_positives: PositiveInt = Field(
        description="Positives that a class needs among the annotated labels of a split to count in its means."
    )


@with_options(METRICS)
class Objective(Description):
    """The metric that trials are compared by, and whether it is maximized."""

    metric: ObjectiveMetric = Field(
        default=ObjectiveMetric("best_val_map"),
        strict=False,
        description="A metric of the validation images, of the best epoch or of the last one. "
        + "; ".join(f"{name}: {record.title}" for name, record in METRICS.items())
        + ".",
    )
    mode: Literal["max", "min"] = Field(
        default="max", description="Whether a larger or a smaller value is better; by default that of the metric."
    )
    classes: Literal["present", "all"] | EnoughPositives | None = Field(
        default=None,
        description="Which classes count in every mean over classes, of validation and test images alike: `present`, "
        "those with a positive among the annotated labels of the split (what a new study gets); `all`, where a class "
        "without a positive counts 0, as the published code has it and earlier versions did; or `{min_positives: n}`, "
        "those with n positives at least.",
    )
    beside: MeasureName | None = Field(
        default=None,
        strict=False,
        description="A second objective: the search looks for the best trade-offs of both, the Pareto front. "
        + "; ".join(f"{name}: {measure.title}" for name, measure in MEASURES.items())
        + ".",
    )
    constraints: Constraints | None = Field(
        default=None,
        description="Bounds of measures, such as `{of1: {min: 60}, train_seconds: {max: 30}}`: a trial that misses one "
        "is no answer of the study.",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_mode(cls, content: Any) -> Any:
        if isinstance(content, dict) and "mode" not in content:
            record = METRICS.get(str(content.get("metric", "")).removeprefix(BEST).removeprefix(LAST))
            if record is not None and not record.greater_is_better:
                return content | {"mode": "min"}
        return content

    @model_validator(mode="after")
    def _mode_fits(self) -> Self:
        expected = "max" if self.record.greater_is_better else "min"
        if self.mode != expected:
            kind = "larger" if expected == "max" else "smaller"
            raise ValueError(f"the {kind} {self.metric} is, the better: expected mode `{expected}`, got `{self.mode}`")
        return self

    @model_validator(mode="after")
    def _classes_are_said_once(self) -> Self:
        if self.classes is not None and self.older_min_positives is not None:
            raise ValueError("expected `classes` or its older form `min_positives`, got both; remove `min_positives`")
        return self

    @property
    def older_min_positives(self) -> int | None:
        """`min_positives` where it is given: what studies had before `classes`, for the objective alone."""
        given = given_options(self, self.record).get("min_positives")
        return None if given is None else int(given)

    @property
    def record(self) -> MetricRecord:
        """The metric's record."""
        return METRICS[self.metric.removeprefix(BEST).removeprefix(LAST)]

    @property
    def options(self) -> Mapping[str, Value | None]:
        """Every option of the metric, defaults filled in."""
        return option_values(self, self.record)

    @property
    def of_best_epoch(self) -> bool:
        """Whether a trial's objective is the metric of its best epoch so far, not of its last one."""
        return self.metric.startswith(BEST)

    @property
    def is_plain_map(self) -> bool:
        """Whether the metric is the mAP that every epoch computes in any case."""
        return self.record.name == "map" and not self.options["min_positives"]

    @property
    def second(self) -> Measure | None:
        """The second objective; None without one."""
        return None if self.beside is None else MEASURES[self.beside]

    @property
    def alone(self) -> Objective:
        """This objective without a second one and without constraints, as a config has it outside its search."""
        return self.model_copy(update={"beside": None, "constraints": None})

    @property
    def bounds(self) -> Mapping[str, Bounds]:
        """Measure -> the values that it may have; empty without constraints."""
        return {} if self.constraints is None else self.constraints.bounds

    @property
    def measures(self) -> tuple[str, ...]:
        """Every measure of a trial that its study needs: the second objective, and those with constraints."""
        beside = () if self.beside is None else (str(self.beside),)
        return tuple(dict.fromkeys((*beside, *self.bounds)))

    @property
    def other_metrics(self) -> Mapping[str, Objective]:
        """Epoch metrics among `measures` -> an objective of that metric, with the options that they share."""
        names = [name for name in self.measures if name in METRICS]
        return {name: self.model_copy(update={"metric": ObjectiveMetric(f"{BEST}{name}")}) for name in names}

    def violations(self, values: Mapping[str, float | None]) -> dict[str, float] | None:
        """How far these measures miss each constraint, 0 or less where it is met; None if one is not known."""
        known = {name: value for name in self.bounds if (value := values.get(name)) is not None}
        if len(known) < len(self.bounds):
            return None
        return {name: self.bounds[name].violation(value) for name, value in known.items()}

    def missed(self, values: Mapping[str, float | None]) -> str | None:
        """The constraints that these measures miss, such as `of1 58.2 < 60`; None if they meet all."""
        parts = []
        for name, bounds in self.bounds.items():
            value = values.get(name)
            if value is None:
                parts.append(f"{name} unknown")
            elif bounds.violation(value) > 0:
                parts.append(f"{name} {bounds.broken_by(value)}")
        return "; ".join(parts) or None

    @property
    def least_positives(self) -> int:
        """Positives of a split that a class needs to count in a mean over classes; 0 where all classes count.

        Without the key all of them do, as in studies of earlier versions.
        """
        match self.classes:
            case EnoughPositives(min_positives=least):
                return least
            case "present":
                return 1
        return 0

    @property
    def sign(self) -> int:
        """1 if larger is better, -1 if smaller is: of `sign * value`, larger is always better."""
        return 1 if self.mode == "max" else -1

    @property
    def label(self) -> str:
        """Name of a trial's objective in tables and figures, such as `validation mAP`."""
        return f"validation {self.record.label}"

    @property
    def short_label(self) -> str:
        """The same for narrow columns, such as `val mAP`."""
        return f"val {self.record.label}"

    @property
    def axis(self) -> str:
        """The title of an axis or a column of values, with their unit: `validation mAP (%)`."""
        return f"{self.label} (%)" if self.record.percent else self.label

    @property
    def number_format(self) -> str:
        """The format of a value without its unit, as Python and Vega have it."""
        return ".2f" if self.record.percent else ".4f"

    def text(self, value: float) -> str:
        """A value with its unit, for sentences: `87.50 %`, or `0.2500` for a metric without a unit."""
        return f"{value:{self.number_format}} %" if self.record.percent else f"{value:{self.number_format}}"
