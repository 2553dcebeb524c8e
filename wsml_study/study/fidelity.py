"""The levels of a study: what is cheaper at each, and how many trials it has."""

from __future__ import annotations

from typing import TypeVar

from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.key_rules import KEY_RULES, value_at
from wsml_study.study.search_space import SearchSpace, longest_training, put, remove
from wsml_study.study.spec import Draft
from wsml_study.study.writing import flow

AnyStudy = TypeVar("AnyStudy", bound=Draft)


def num_levels(study: Draft) -> int:
    """How many levels there are, full size included: 1 without `fidelity`."""
    return 1 + len(study.fidelity or ())


def at_level(study: AnyStudy, number: int) -> AnyStudy:
    """The study that runs at a level: the same search around a cheaper base config.

    Args:
        study: the study with the levels.
        number: of the level, from 1; the last of `num_levels` is full size.

    Keys that a key of the level has no use for are left out: with `training.mode: linear` the `linear_epochs` of the
    base config. A level that ends within the grace period of early stopping has none.

    Raises:
        pydantic.ValidationError: the values do not go together; a study that was read from a file has no such level.
    """
    content = study.model_dump(mode="json", exclude_none=True, exclude={"fidelity", "confirm"})
    content["trials"] = num_trials(study, number)
    cheaper = {} if number == num_levels(study) else (study.fidelity or ())[number - 1].set
    for key, value in cheaper.items():
        put(content, key, value)
    for rule in KEY_RULES:
        if rule.controlling_key in cheaper and value_at(content, rule.controlling_key) not in rule.allowed_values:
            remove(content, rule.key)
    there = type(study).model_validate(content)
    if (there.early_stopping.first_decision_epoch or 1) >= longest_training(there):
        return there.model_copy(update={"early_stopping": EarlyStopping()})
    return there


def num_trials(study: Draft, number: int) -> int:
    """How many trials a level is to have: the first as many as the study, others what the level before leaves over."""
    if number > 1:
        assert study.fidelity is not None
        return study.fidelity[number - 2].survivors
    size = SearchSpace.from_study(study).size() if study.sampler.record.exhaustive else None
    return study.trials if size is None else min(study.trials, size)


def described_level(study: Draft, number: int) -> str:
    """What a level changes, in a few words.

    >>> from wsml_study.study.spec import Study
    >>> level = {"set": {"training.epochs": 2}, "survivors": 1}
    >>> base = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}, "trials": 2}
    >>> [described_level(Study.model_validate(base | {"fidelity": [level]}), number) for number in (1, 2)]
    ['training.epochs 2', 'full size']
    """
    if number == num_levels(study):
        return "full size"
    return ", ".join(f"{key} {flow(value)}" for key, value in (study.fidelity or ())[number - 1].set.items())


def heading(study: Draft, number: int) -> str:
    """What a level is, as it begins."""
    last = num_levels(study)
    goes_on = "" if number == last else f"; the best {(study.fidelity or ())[number - 1].survivors} go on"
    return f"level {number} of {last}: {described_level(study, number)}{goes_on}"
