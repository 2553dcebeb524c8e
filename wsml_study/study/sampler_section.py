"""Section `sampler`: what proposes the next trial."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from wsml_study.description import Description, Seed
from wsml_study.study.option_fields import with_options
from wsml_study.study.sampler_record import SAMPLERS, SamplerRecord


class SamplerName(StrEnum):
    """Samplers, a member for every record."""

    vars().update({name.upper(): name for name in SAMPLERS})


@with_options(SAMPLERS)
class Sampler(Description):
    """What proposes the next trial."""

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
