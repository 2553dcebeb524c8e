"""The record of a sampler, and the registry of all of them. Imports no optuna."""

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
    meaning="number of trials that are proposed at once, before any of them has a result, so that linear probes among "
    "them can be trained together; changes the proposals",
)
"""Option of every model-based sampler."""


@dataclass(frozen=True, kw_only=True)
class SamplerRequest:
    """The arguments of a sampler.

    Attributes:
        seed: of this proposal; depends on the study's seed and the trial's number only.
        several_at_once: several trials run at once, so that some earlier proposals have no result yet.
        options: option of the record -> value, defaults filled in.
    """

    seed: int
    several_at_once: bool
    options: Mapping[str, Value | None]


@dataclass(frozen=True, kw_only=True)
class SamplerRecord:
    """A sampler, which proposes the values of the next trial.

    Attributes:
        name: value of `sampler.name`.
        position: place in lists, ascending.
        title: one-line description.
        create: makes an `optuna.samplers.BaseSampler` from a `SamplerRequest`; a function, or `module:function`. It is
            called for every proposal: a proposal must depend only on the seed and the earlier trials, so that a
            resumed study proposes the same values as an uninterrupted one.
        model_based: its proposals depend on the results of earlier trials.
        exhaustive: every combination of the search is tried once, in a fixed order, without asking the sampler.
        needs_numbers: the search must have a range of numbers.
        options: further keys of the section `sampler`.
        requires: packages needed beyond the dependencies of wsml-study.
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
"""Name -> record of all samplers, in display order."""
