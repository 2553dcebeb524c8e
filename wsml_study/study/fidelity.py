"""Levels of fidelity (multi-fidelity search): the study that runs at each level, and its number of trials."""

from __future__ import annotations

from typing import TypeVar

from wsml_study.study.early_stopping_section import EarlyStopping
from wsml_study.study.key_rules import KEY_RULES, value_at
from wsml_study.study.search_space import SearchSpace, longest_training, put, remove
from wsml_study.study.spec import Draft
from wsml_study.study.writing import flow

AnyStudy = TypeVar("AnyStudy", bound=Draft)


def num_levels(study: Draft) -> int:
    """The number of levels of fidelity, full size included: 1 without `fidelity`."""
    return 1 + len(study.fidelity or ())


def at_level(study: AnyStudy, number: int) -> AnyStudy:
    """The study that runs at a level of fidelity: the same search around a cheaper base config.

    Keys of the base config that mean nothing at the level are removed, such as `linear_epochs` with `training.mode:
    linear`. A level whose trials end within the grace period of early stopping runs without early stopping.

    Args:
        study: the study with the levels.
        number: of the level, from 1; the last of `num_levels` is full size.

    Raises:
        pydantic.ValidationError: the values contradict each other; `read_study` refuses such levels.
    """
    content = study.model_dump(mode="json", exclude_none=True, exclude={"fidelity", "confirm"})
    content["trials"] = num_trials(study, number)
    if number > 1:
        content.pop("start_from", None)
    if number < num_levels(study):
        content.pop("test_trials", None)
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
    """The number of trials of a level: `trials` for the first, the survivors of the previous level for the others."""
    if number > 1:
        assert study.fidelity is not None
        return study.fidelity[number - 2].survivors
    size = SearchSpace.from_study(study).size() if study.sampler.record.exhaustive else None
    return study.trials if size is None else min(study.trials, size)


def described_level(study: Draft, number: int) -> str:
    """A short description of what a level changes.

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
    """The line that is printed when a level begins."""
    last = num_levels(study)
    goes_on = "" if number == last else f"; the best {(study.fidelity or ())[number - 1].survivors} go on"
    return f"level {number} of {last}: {described_level(study, number)}{goes_on}"
