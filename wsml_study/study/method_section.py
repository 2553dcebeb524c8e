"""Section `method`: the treatment of unobserved labels, and the schedule of the rejection rate."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wsml_study.description import Description, Fraction, PositiveInt
from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.method_record import MethodRecord
from wsml_study.options import Value
from wsml_study.study.option_fields import given_options, with_options


class MethodName(StrEnum):
    """Methods that treat unobserved labels, by the names of their papers; one member per record."""

    vars().update({name.upper().replace("-", "_").replace("+", "_"): name for name in METHODS})


class ScheduleShape(StrEnum):
    """Shape of the rejection rate over the epochs."""

    LINEAR = "linear"
    CONSTANT = "constant"
    CAPPED_LINEAR = "capped_linear"
    COSINE = "cosine"
    STEP = "step"


SCHEDULE_PARAMETERS: dict[ScheduleShape, tuple[str, ...]] = {
    ScheduleShape.LINEAR: ("rate_per_epoch",),
    ScheduleShape.CONSTANT: ("final_rate",),
    ScheduleShape.CAPPED_LINEAR: ("rate_per_epoch", "final_rate"),
    ScheduleShape.COSINE: ("final_rate", "ramp_epochs"),
    ScheduleShape.STEP: ("rate_per_step", "epochs_per_step"),
}
"""Shape -> required parameters, besides `warmup_epochs`, which all shapes share."""


class Schedule(Description):
    """Schedule of the rejection rate, a fraction of the labels; 0 during the warm-up."""

    shape: ScheduleShape = Field(
        default=ScheduleShape.LINEAR,
        strict=False,
        description="Shape of the rejection rate over the epochs after the warm-up.",
    )
    warmup_epochs: Annotated[int, Field(ge=0)] = Field(
        default=1, description="Epochs at the start with a rejection rate of 0."
    )
    rate_per_epoch: Fraction | None = Field(
        default=None, description="Growth per epoch, a fraction (0.002 is the authors' delta_rel of 0.2 percent)."
    )
    final_rate: Fraction | None = Field(
        default=None, description="Rejection rate that the schedule ends at, a fraction."
    )
    ramp_epochs: PositiveInt | None = Field(
        default=None, description="Epochs from the end of the warm-up to the final rate."
    )
    rate_per_step: Fraction | None = Field(default=None, description="Growth per step, a fraction.")
    epochs_per_step: PositiveInt | None = Field(default=None, description="Epochs per step.")


@with_options(METHODS)
class Method(Description):
    """How unobserved labels are treated. `wsml-study methods` lists the keys of each method and their defaults."""

    name: MethodName = Field(strict=False, description="How unobserved labels are treated.")
    schedule: Schedule | None = Field(
        default=None, description="Large-loss methods: the rejection rate over the epochs."
    )

    @property
    def record(self) -> MethodRecord:
        """The method's record."""
        return METHODS[self.name]

    @property
    def given_options(self) -> dict[str, Value | None]:
        """The method's options as the study file has them; None for defaults."""
        return given_options(self, self.record)
