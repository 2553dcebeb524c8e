"""Section `sampler`: the sampler that proposes the values of trials."""

from __future__ import annotations

from enum import StrEnum

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

    @property
    def record(self) -> SamplerRecord:
        """The sampler's record."""
        return SAMPLERS[self.name]
