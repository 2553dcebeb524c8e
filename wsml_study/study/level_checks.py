"""Checks of the levels of fidelity: keys that a level cannot set, too many survivors, and levels at which the search or
the base config is invalid."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from wsml_study.study.checks import check_study, unknown_key
from wsml_study.study.config_keys import config_keys, mismatch
from wsml_study.study.fidelity import at_level, num_trials
from wsml_study.study.fidelity_section import Level
from wsml_study.study.problems import Path, Problem
from wsml_study.study.search_space import base_value, same
from wsml_study.study.spec import Draft


def check_levels(draft: Draft, *, sound: bool) -> list[Problem]:
    """All problems of the section `fidelity`.

    Args:
        draft: the study; invalid keys have been removed.
        sound: whether the study has no other problem. Only then, and if the keys of every level are valid, the study at
            each level is checked: other problems would be reported again for every level.
    """
    if draft.fidelity is None:
        return []
    problems = [problem for index, level in enumerate(draft.fidelity) for problem in _keys(draft, index, level)]
    problems += _population(draft)
    if problems or not sound:
        return problems
    return [*_survivors(draft), *(one for index in range(len(draft.fidelity)) for one in _study_at_level(draft, index))]


def _keys(draft: Draft, index: int, level: Level) -> Iterator[Problem]:
    """Keys that a level cannot set, and values that their keys do not accept."""
    for key, value in level.set.items():
        reason = _not_settable(draft, key)
        if reason is not None:
            yield _problem(index, key, reason, at_key=True)
        elif not config_keys()[key].takes(value):
            yield _problem(index, key, mismatch(config_keys()[key].schema, value))
        elif same(base_value(draft, key), value):
            yield _problem(index, key, "makes nothing cheaper: the base config has the same value")


def _not_settable(draft: Draft, key: str) -> str | None:
    if key in draft.search:
        return "is searched, so a level cannot set it; remove it here or from `search`"
    known = config_keys().get(key)
    if known is None:
        return unknown_key(key, "of a level")
    return known.not_searched_because and f"cannot differ between levels: {known.not_searched_because}"


def _population(draft: Draft) -> Iterator[Problem]:
    if draft.early_stopping.record.is_population:
        message = (
            "expected another early stopping than pbt, or none: a population changes values during training, so that a "
            "level has no fixed config to hand to the next one"
        )
        yield Problem(label="fidelity", message=message, path=("fidelity",), at_key=True)


def _survivors(draft: Draft) -> Iterator[Problem]:
    """Levels that would keep all their trials."""
    for index, level in enumerate(draft.fidelity or ()):
        trials = num_trials(draft, index + 1)
        if level.survivors >= trials:
            message = f"expected fewer survivors than the {trials} trials of level {index + 1}, got {level.survivors}"
            path = ("fidelity", index, "survivors")
            yield Problem(label="fidelity.survivors", message=message, path=path)


def _study_at_level(draft: Draft, index: int) -> Iterator[Problem]:
    """Problems of the study that the level amounts to."""
    assert draft.fidelity is not None
    try:
        there = at_level(draft, index + 1)
    except ValidationError as error:
        for details in error.errors():
            yield _problem_there(draft.fidelity[index], index, str(details.get("ctx", {}).get("error", details["msg"])))
        return
    for problem in check_study(there, set()):
        yield _problem_there(draft.fidelity[index], index, str(problem), problem.about or (problem.label,))


def _problem_there(level: Level, index: int, message: str, about: tuple[str, ...] = ()) -> Problem:
    cause = [key for key in level.set if key in about]
    path: Path = ("fidelity", index, "set", cause[0]) if cause else ("fidelity", index)
    return Problem(label="fidelity", message=f"at level {index + 1}, {message}", path=path, at_key=bool(cause))


def _problem(index: int, key: str, message: str, *, at_key: bool = False) -> Problem:
    path = ("fidelity", index, "set", key)
    return Problem(label=f"fidelity.set.{key}", message=message, path=path, at_key=at_key, about=(key,))
