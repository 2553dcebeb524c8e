"""Section `objective`: the metric that trials are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from wsml_study.description import Description, PositiveInt
from wsml_study.options import Value
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
