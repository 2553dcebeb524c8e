"""Reads a study file. All its problems are reported at once, each with line and column."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from wsml_study.errors import StudyFileError
from wsml_study.study.checks import WHOLE_SEARCH, check_study
from wsml_study.study.config_keys import expectation, keys_at, mismatch, schema_at, suggestion
from wsml_study.study.level_checks import check_levels
from wsml_study.study.problems import Path, Place, Problem, closest, dotted, listed, render, shown
from wsml_study.study.recipes import with_recipe
from wsml_study.study.spec import Draft, Study
from wsml_study.study.yaml_tree import Node, UnreadableYamlError, parse_yaml

LARGEST_FILE = 1_000_000
"""Bytes; a larger file is not a study file, and is not read into memory."""

PLACEHOLDERS: dict[Path, Any] = {
    ("name",): "unnamed",
    ("data",): {"dataset": "digit_scenes"},
    ("data", "dataset"): "digit_scenes",
    ("method",): {"name": "AN"},
    ("method", "name"): "AN",
}
"""Replace required keys that are missing or invalid, so that the rest of the file can still be checked."""

REMOVED_WHOLE = {"search": 2, "objective": 2, "fidelity": 1, "start_from": 1, "warm_start": 1}
"""Section -> depth at which an invalid part is removed: an entry of `search`, a key of `objective`, all of a list."""


def read_study(path: FilePath | str, *, further: Callable[[Study], list[Problem]] | None = None) -> Study:
    """Read a study file.

    Args:
        path: of the file.
        further: finds further problems of a study that has no others.

    Raises:
        StudyFileError: there is no such file, or it is not a valid study; the message lists all problems, with places.
    """
    text = _text(FilePath(path))
    try:
        tree, problems = parse_yaml(text)
    except UnreadableYamlError as error:
        raise StudyFileError(render(str(path), [error.problem])) from None
    if tree is None:
        raise StudyFileError(f"{path}: empty; `wsml-study init` writes a study file to start from")
    study, more = _study(tree.plain(), problems)
    if study is not None and further is not None:
        more = further(study)
    return _sound(study, str(path), [*problems, *(_placed(problem, tree) for problem in more)])


def parse_study(content: Any, source: str) -> Study:
    """A study from plain content: mappings, lists, strings, numbers, booleans, None.

    Args:
        content: as parsed from a study file.
        source: name of the content in messages.

    Raises:
        StudyFileError: the content is not a valid study; the message lists every problem.
        TypeError: the content is not plain.
    """
    # Through JSON: raises TypeError for what no study file can hold, and turns tuples into lists.
    study, problems = _study(json.loads(json.dumps(content)), [])
    return _sound(study, source, problems)


def _sound(study: Study | None, source: str, problems: list[Problem]) -> Study:
    if study is None or problems:
        raise StudyFileError(render(source, problems))
    return study


def _placed(problem: Problem, tree: Node) -> Problem:
    return dataclasses.replace(problem, place=tree.place_of(problem.path, at_key=problem.at_key))


def _text(path: FilePath) -> str:
    if path.is_dir():
        raise StudyFileError(f"{path}: expected a study file, got a folder{_study_files_in(path)}")
    if not path.exists():
        raise StudyFileError(f"{path}: there is no such file{_similar_file(path)}")
    try:
        if path.stat().st_size > LARGEST_FILE or not path.is_file():
            raise StudyFileError(f"{path}: expected a study file of at most {LARGEST_FILE:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise StudyFileError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = Place(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        problem = Problem(message=f"expected UTF-8, got the byte 0x{content[error.start]:02X}", place=place)
        raise StudyFileError(render(str(path), [problem])) from None


def _study_files_in(folder: FilePath) -> str:
    if (folder / "study.yaml").exists() and (folder / "events.jsonl").exists():
        return f" of results; its study is `{folder / 'study.yaml'} --storage {folder.parent}`"
    names = sorted(file.name for file in folder.glob("*.yaml"))
    return f"; it has {', '.join(names[:5])}" if names else ""


def _similar_file(path: FilePath) -> str:
    meant = closest(path.name, (file.name for file in path.parent.glob("*.yaml")))
    return f"; did you mean `{path.parent / meant}`?" if meant else ""


def _study(content: Any, noted: list[Problem]) -> tuple[Study | None, list[Problem]]:
    """The study, None if there is any problem, and the problems besides those noted while parsing."""
    if not isinstance(content, dict):
        message = f"expected keys such as `name`, `data` and `method`, got {shown(content)}"
        return None, [Problem(message=message)]
    content = with_recipe(content)
    draft, problems = _draft(content)
    unsound = {key for problem in [*noted, *problems] for key in problem.unsound}
    if any(problem.path[0:1] == ("search",) for problem in problems):
        unsound.add(WHOLE_SEARCH)
    problems += check_study(draft, unsound)
    problems += check_levels(draft, sound=not (noted or problems))
    return (None if noted or problems else Study.model_validate(content)), problems


def _draft(content: dict[str, Any]) -> tuple[Draft, list[Problem]]:
    """The study without its invalid keys, which are removed or replaced by placeholders, and their problems."""
    content = copy.deepcopy(content)
    problems: list[Problem] = []
    # pydantic runs the validators of a section only once its fields are valid, so that removing what is invalid can
    # bring up further problems. Each round removes something, so this ends.
    while True:
        try:
            return Draft.model_validate(content), problems
        except ValidationError as error:
            found = _problems(error, content)
            problems += [problem for problem in found if not problem.may_follow_from({p.label for p in problems})]
            for problem in found:
                _remove(content, problem)


def _problems(error: ValidationError, content: dict[str, Any]) -> list[Problem]:
    problems = [
        _problem(details, content)
        for details in error.errors()
        if not (_is_shortened(details, error) or _is_of_the_word(details))
    ]
    return list({(problem.path, problem.label): problem for problem in problems}.values())


def _is_shortened(details: ErrorDetails, error: ValidationError) -> bool:
    """Whether a list is too short only because pydantic does not count its invalid items."""
    inside = [other for other in error.errors() if other["loc"][: len(details["loc"])] == details["loc"]]
    return details["type"] == "too_short" and len(inside) > 1


def _is_of_the_word(details: ErrorDetails) -> bool:
    """Whether a value that is a word or a mapping is a mapping: the problem is inside, not that it is no word."""
    of_several = str(details["loc"][-1]).startswith("literal[")  # so pydantic names one out of several forms
    return of_several and details["type"] == "literal_error" and isinstance(details["input"], dict)


def _problem(details: ErrorDetails, content: dict[str, Any]) -> Problem:
    path, value = _existing(details["loc"], content)
    match details["type"]:
        case "missing":
            missing = (*path, details["loc"][-1])
            message = f"missing; expected {expectation(schema_at(missing))}"
            return Problem(label=dotted(missing), message=message, path=missing, at_key=True)
        case "extra_forbidden":
            return _unknown_key(path)
        case "value_error":
            label = path[1] if path[0:1] == ("search",) else dotted(path)
            return Problem(label=str(label), message=str(details["ctx"]["error"]), path=path)
    return Problem(label=dotted(path), message=mismatch(schema_at(path), value), path=path)


def _unknown_key(path: Path) -> Problem:
    key, section = str(path[-1]), path[:-1]
    known = keys_at(section)
    if sibling := closest(key, known):
        meant, hint = dotted((*section, sibling)), f"; did you mean `{sibling}`?"
    elif (elsewhere := suggestion(dotted(path))) and elsewhere != dotted(section):
        meant, hint = elsewhere, f"; did you mean `{elsewhere}`?"
    else:
        meant, hint = None, f"; known keys are {listed(known)}"
    return Problem(label=dotted(path), message=f"unknown key{hint}", path=path, at_key=True, meant=meant)


def _existing(location: tuple[int | str, ...], content: Any) -> tuple[Path, Any]:
    """The path in the content that pydantic's location stands for, and the value there.

    pydantic adds names of union members, which are no keys: parts that are absent are left out.
    """
    path: list[str | int] = []
    for part in location:
        known: dict[Any, Any] = dict(enumerate(content)) if isinstance(content, list) else content
        if not isinstance(known, dict):
            break
        if part not in known:
            continue
        content = known[part]
        path.append(part)
    return tuple(path), content


def _remove(content: dict[str, Any], problem: Problem) -> None:
    """Remove an invalid value, or replace it by a placeholder if the key is required."""
    path = problem.path[: REMOVED_WHOLE.get(str(problem.path[0]), len(problem.path))]
    reached, section = _existing(path[:-1], content)
    if len(reached) < len(path) - 1:
        return  # Already removed with its section, which had a problem too.
    if path in PLACEHOLDERS:
        section[path[-1]] = copy.deepcopy(PLACEHOLDERS[path])
    elif path[-1] in section:
        del section[path[-1]]
    elif path[0] != "search":
        content.pop(str(path[0]), None)  # A required key of an optional section is missing: remove the section.
