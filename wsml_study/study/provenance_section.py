"""Section `provenance` of an exported config."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wsml_study.description import Description, PositiveInt


class Provenance(Description):
    """The study and trial that an exported config comes from; without effect on results."""

    study: str = Field(description="Name of the study.")
    trial: Annotated[int, Field(ge=0)] = Field(description="Number of the trial, from 0.")
    value: float = Field(description="The trial's objective.")
    answered_map: float | None = Field(
        default=None, description="The trial's mAP in percent as estimated with people's answers, which ranked it."
    )
    answers: PositiveInt | None = Field(default=None, description="Number of these answers.")
    best_epoch: PositiveInt | None = Field(default=None, description="The trial's epoch with the best objective.")
    fingerprint: str = Field(description="Fingerprint of the keys of the study that affect results.")
