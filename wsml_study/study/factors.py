"""Section `factors`: levels that every config of a search is run at."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from wsml_study.description import Scalar
from wsml_study.study.config_keys import config_keys
from wsml_study.study.problems import Problem
from wsml_study.study.search_space import SearchSpace, trial_content
from wsml_study.study.spec import Draft, TrialConfig

MOST_COMBINATIONS = 10_000
"""Combinations of levels that are checked."""

ONLY_AS_FACTORS = {
    "training.seed": "the search would pick the luckiest seed",
    "data.observe": "it decides which labels are hidden, so the search would pick the easiest draw",
    "data.train_share": "the largest share would win",
}
"""Keys and sections that change the question: they may be levels, and a new study must not search them -> why."""


def combinations(draft: Draft) -> list[dict[str, Scalar]]:
    """The combinations of levels, the last key varying fastest; one empty one without factors.

    A level that only some levels of another key take does not multiply the others.
    """
    factors = draft.factors or {}
    space = SearchSpace.from_study(draft)
    return list(space.without(key.path for key in space.keys if key.path not in factors).grid())


def proposed_space(draft: Draft) -> SearchSpace:
    """What a sampler proposes values of: the search without the factors, whose levels every config runs at."""
    return SearchSpace.from_study(draft).without(draft.factors or {})


def num_runs(draft: Draft, num_configs: int) -> int:
    """The number of trials of so many configs."""
    return num_configs * (len(combinations(draft)) if draft.factors else 1)


def only_as_factor(key: str) -> str | None:
    """Why a key may be a factor and not searched; None for other keys."""
    return next((why for held, why in ONLY_AS_FACTORS.items() if f"{key}.".startswith(f"{held}.")), None)


def searches_that_change_the_question(draft: Draft) -> Iterator[Problem]:
    """Searched keys that decide what is asked, and not how well a config answers."""
    for key in draft.search:
        reason = only_as_factor(key)
        if reason is not None:
            message = (
                f"changes the question and is not searched: {reason}; list its values under `factors`, so that every "
                f"config runs at each of them, or run a study for each"
            )
            yield Problem(label=key, message=message, path=("search", key), at_key=True)


def factor_problems(draft: Draft) -> Iterator[Problem]:
    """Factors that a study cannot have, by their place; their keys and values are checked as those of the search."""
    for key in draft.factors or {}:
        known = config_keys().get(key)
        path = ("factors", key)
        if key in draft.search:
            yield Problem(label=key, message="is searched as well; leave it in one of both", path=path, at_key=True)
        elif known is not None and known.not_searched_because is not None and only_as_factor(key) is None:
            message = f"cannot be a factor: {known.not_searched_because}"
            yield Problem(label=key, message=message, path=path, at_key=True)
    if not draft.factors:
        return
    if draft.early_stopping.record.name != "none":
        message = "it compares trials, and those of different levels cannot be compared; with `factors` use none"
        yield Problem(label="early_stopping.name", message=message, path=("early_stopping", "name"))
    for section in ("fidelity", "confirm", "budget", "stop_when"):
        if getattr(draft, section) is not None:
            message = "does not go with `factors`; remove one of them"
            if section == "confirm":
                message += " (seeds as a factor repeat every config)"
            yield Problem(label=section, message=message, path=(section,), at_key=True)


def impossible_levels(draft: Draft) -> Iterator[Problem]:
    """Levels that contradict each other or the base config."""
    space = SearchSpace.from_study(draft)
    fixed = SearchSpace(keys=tuple(key for key in space.keys if key.path not in (draft.factors or {})))
    for levels in combinations(draft)[:MOST_COMBINATIONS] if draft.factors else ():
        values = space.applicable({key.path: key.value(0) for key in fixed.keys} | levels)
        try:
            TrialConfig.model_validate(trial_content(draft, values))
        except ValidationError as error:
            where = ", ".join(f"{key} {level}" for key, level in levels.items())
            reasons = "; ".join(str(one.get("ctx", {}).get("error", one["msg"])) for one in error.errors())
            yield Problem(
                label="factors",
                message=f"at {where}: {reasons}",
                path=("factors",),
                at_key=True,
                about=("factors", "data", "method", "model", "training", *levels),
            )
            return


def idle_levels(draft: Draft) -> Iterator[Problem]:
    """Levels at which all configs of the search would be the same."""
    if not draft.factors or not draft.search.keys() - draft.factors.keys():
        return
    space = SearchSpace.from_study(draft)
    for levels in combinations(draft):
        needed = {condition.key for key in space.keys for condition in key.conditions} - draft.factors.keys()
        narrowed = space.branches(needed | draft.factors.keys())
        at_level = (values for values in narrowed if all(values.get(key) == level for key, level in levels.items()))
        if not any(key.path not in draft.factors and key.applies(values) for values in at_level for key in space.keys):
            where = ", ".join(f"{key} {level}" for key, level in levels.items())
            message = (
                f"at {where} no searched key applies, so that all configs would be the same there; search "
                f"{next(iter(levels))} instead, with the levels as its `choice`"
            )
            yield Problem(label="factors", message=message, path=("factors",), at_key=True)
            return
