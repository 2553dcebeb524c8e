"""Section `sampler`: the sampler that proposes the values of trials."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from wsml_study.description import Description, Seed
from wsml_study.study.option_fields import with_options
from wsml_study.study.sampler_record import SAMPLERS, SamplerRecord


class SamplerName(StrEnum):
    """Names of samplers, one member per record."""

    vars().update({name.upper(): name for name in SAMPLERS})


@with_options(SAMPLERS)
class Sampler(Description):
    """The sampler that proposes the values of trials."""

    name: SamplerName = Field(
        default=SamplerName("tpe"),
        strict=False,
        description="; ".join(f"{name}: {record.title}" for name, record in SAMPLERS.items()) + ".",
    )
    seed: Seed = Field(default=0, description="Seed of the proposals.")
    options: dict[str, Any] | None = Field(
        default=None, description="optunahub: arguments that the sampler's class is created with, by name."
    )
    digest: str | None = Field(
        default=None,
        description="optunahub: SHA-256 of the folder's content; recorded when a study begins, which then refuses "
        "another content.",
    )

    @property
    def record(self) -> SamplerRecord:
        """The sampler's record."""
        return SAMPLERS[self.name]
