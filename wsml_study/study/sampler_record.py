"""What every sampler says of itself, and all of them by name; no optuna here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wsml_study.options import COUNT, Option, Value
from wsml_study.registry import LAST, Registry, Requirement

BATCH = Option(
    key="batch",
    limits=COUNT,
    default=1,
    meaning="so many trials are proposed at once, before any of them has a result, so that linear probes among them "
    "can be trained together; decides what is proposed",
)
"""Option of every model-based sampler."""


@dataclass(frozen=True, kw_only=True)
class SamplerRequest:
    """What a sampler is made of.

    Attributes:
        seed: of this proposal; depends on the study's seed and the trial's number only.
        several_at_once: several trials run at once, so that some of those proposed before have no result yet.
        options: every option of the record -> its value, defaults filled in.
    """

    seed: int
    several_at_once: bool
    options: Mapping[str, Value | None]


@dataclass(frozen=True, kw_only=True)
class SamplerRecord:
    """What proposes the next trial.

    Attributes:
        name: as `sampler.name` has it.
        position: where lists show it.
        title: what it does, in a line.
        create: makes an `optuna.samplers.BaseSampler` of a `SamplerRequest`; a function, or `module:function`. It is
            called for every proposal: what the sampler proposes must depend on its seed and on the trials so far only,
            so that an interrupted study proposes what it would have proposed.
        model_based: its proposals depend on the results of earlier trials.
        exhaustive: every combination of the search is tried once, in a fixed order; the sampler is asked for nothing.
        needs_numbers: the search must have a range of numbers.
        options: further keys of the section `sampler`.
        requires: packages that it needs beyond those that every installation has.
    """

    name: str
    position: int = LAST
    title: str
    create: str | Callable[[SamplerRequest], Any]
    model_based: bool = True
    exhaustive: bool = False
    needs_numbers: bool = False
    options: tuple[Option, ...] = ()
    requires: tuple[Requirement, ...] = ()


SAMPLERS: Registry[SamplerRecord] = Registry(
    "sampler", SamplerRecord, group="wsml_study.samplers", package="wsml_study.tuning.samplers"
)
"""All samplers by name, in the order in which to show them."""
