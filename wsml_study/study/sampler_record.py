"""The record of a sampler, and the registry of all of them. Imports no optuna."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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

WINDOWED_FROM, WINDOW = 2000, 1000
"""From so many proposals on, a sampler with `sees_window` sees so many trials, as `tuning/proposal_window.py` says."""

SLOTS_PER_PROPOSAL = 256
"""Then it also makes several proposals at once, one for so many slots: what so few of them report meanwhile changes its
model little."""


@dataclass(frozen=True, kw_only=True)
class SamplerRequest:
    """The arguments of a sampler.

    Attributes:
        seed: of this proposal; depends on the study's seed and the trial's number only.
        several_at_once: several trials run at once, so that some earlier proposals have no result yet.
        options: option of the record -> value, defaults filled in.
        arguments: what the study file has under `sampler.options`, for records with `takes_arguments`.
        study_seed: `sampler.seed`, the same for every proposal.
        number: of the proposal, from 0.
        space: dotted path -> Optuna's distribution of every searched key, those included that do not apply to all
            trials.
        num_proposals: that this sampler is asked for one after the other, from the same trials; more than one only for
            samplers with `sees_window`.
    """

    seed: int
    several_at_once: bool
    options: Mapping[str, Value | None]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    study_seed: int = 0
    number: int = 0
    space: Mapping[str, Any] = field(default_factory=dict)
    num_proposals: int = 1


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
        shuffled: of an exhaustive sampler: the order is drawn at random from `sampler.seed`.
        needs_numbers: the search must have a range of numbers.
        takes_given_trials: its model uses trials that it did not propose, such as those of `warm_start`.
        takes_second_objective: it can look for the trade-offs of two objectives; what is not model-based can anyway.
        takes_priors: proposals may be drawn from priors (`prior`, `weights`) instead of being asked for.
        options: further keys of the section `sampler`.
        sees_window: of a long search with one objective and no constraints it is shown the best and the newest trials
            only, since each of its proposals looks at all that it is shown. Its `after_trial` must do nothing.
        takes_arguments: the section may have `options`, a mapping that the sampler is created with.
        requires: packages needed beyond the dependencies of wsml-study.
    """

    name: str
    position: int = LAST
    title: str
    create: str | Callable[[SamplerRequest], Any]
    model_based: bool = True
    exhaustive: bool = False
    shuffled: bool = False
    needs_numbers: bool = False
    takes_given_trials: bool = False
    takes_second_objective: bool = False
    takes_priors: bool = True
    sees_window: bool = False
    options: tuple[Option, ...] = ()
    takes_arguments: bool = False
    requires: tuple[Requirement, ...] = ()


SAMPLERS: Registry[SamplerRecord] = Registry(
    "sampler", SamplerRecord, group="wsml_study.samplers", package="wsml_study.tuning.samplers"
)
"""Name -> record of all samplers, in display order."""
