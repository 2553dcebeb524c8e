"""Checks of `objective.beside` and `objective.constraints`: with what they cannot go, and what they cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from wsml_study.study.measures import TOTAL_SECONDS
from wsml_study.study.problems import Problem, listed
from wsml_study.study.sampler_record import SAMPLERS
from wsml_study.study.spec import Draft

BESIDE, CONSTRAINTS = "beside", "constraints"


def check_objective(draft: Draft) -> Iterator[Problem]:
    """All problems of the second objective and of the constraints."""
    objective = draft.objective
    if draft.data.validation.by_estimate and objective.record.name != "map":
        ranks = f"`estimated` ranks trials by mAP, and the objective is {objective.metric}; use `observed` or `known`"
        yield Problem(label="data.validation.labels", message=ranks, path=("data", "validation", "labels"))
    if objective.beside is not None and (message := _not_beside(draft)) is not None:
        yield _problem(BESIDE, message)
    if objective.bounds and (message := _not_constrained(draft)) is not None:
        yield _problem(CONSTRAINTS, message)


def _problem(key: str, message: str) -> Problem:
    return Problem(label=f"objective.{key}", message=message, path=("objective", key), at_key=True)


def _not_beside(draft: Draft) -> str | None:
    """Why a study cannot have its second objective; None if it can."""
    if draft.objective.beside == draft.objective.record.name:
        return f"is the metric of the objective already ({draft.objective.metric}); name another measure, or remove it"
    if _stops_trials(draft):
        return (
            f"cannot go with early_stopping {draft.early_stopping.name}, which compares trials by one figure; use none"
        )
    if draft.confirm is not None:
        return (
            "cannot go with `confirm`, which compares configs by one figure; remove one of the two. After the search, "
            "`wsml-study export --front` writes the configs of the front, and `train CONFIG --seeds 3` trains one"
        )
    record = draft.sampler.record
    if record.model_based and not (record.exhaustive or record.takes_second_objective):
        takers = [name for name, one in SAMPLERS.items() if one.takes_second_objective or not one.model_based]
        return f"the sampler `{draft.sampler.name}` looks for one objective; use {listed(takers)}"
    return _only_for_one(draft)


def _not_constrained(draft: Draft) -> str | None:
    """Why a study cannot have constraints; None if it can."""
    if _stops_trials(draft) and TOTAL_SECONDS in draft.objective.bounds:
        return (
            f"`{TOTAL_SECONDS}` cannot go with early_stopping {draft.early_stopping.name}: a trial that is stopped "
            "early takes less time than its config does; constrain `train_seconds`, which are those of an epoch"
        )
    return _only_for_one(draft)


def _stops_trials(draft: Draft) -> bool:
    record = draft.early_stopping.record
    return record.create is not None or record.is_population


def _only_for_one(draft: Draft) -> str | None:
    """What neither goes with: sections that judge a config by one figure of several runs, or the search as a whole."""
    if not draft.search:
        return "a study without `search` has one config, which is its answer in any case; remove it"
    for key, why in (
        ("factors", "whose levels are compared by one figure"),
        ("seeds", "which judges a config by its mean objective over the seeds"),
        ("fidelity", "whose levels rank trials by the objective alone"),
        ("stop_when", "whose expected regret is that of the objective alone"),
        ("warm_start", "whose trials have no such measure"),
    ):
        if getattr(draft, key):
            return f"cannot go with `{key}`, {why}; remove one of the two"
    if draft.early_stopping.record.is_population:
        return f"cannot go with early_stopping {draft.early_stopping.name}, which ranks by the objective; remove one"
    return None
