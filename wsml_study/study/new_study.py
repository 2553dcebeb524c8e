"""Checks that only a study which is about to begin must pass; recorded ones stay readable and go on as they were begun.

They need files that may be gone later, or refuse what earlier versions allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

from wsml_study.errors import StudyFileError
from wsml_study.study.confirm_section import START_FROM
from wsml_study.study.factors import searches_that_change_the_question
from wsml_study.study.problems import Problem, listed
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study
from wsml_study.study.start_points import StartPoint, StartPoints, start_points


def read_new_study(path: FilePath | str) -> Study:
    """As `read_study`, of a study that is about to begin.

    Raises:
        StudyFileError: it is not a valid study, or not one that may begin; the message lists all problems, with places.
    """
    return read_study(path, further=problems_of_new_study)


def problems_of_new_study(study: Study) -> list[Problem]:
    """What keeps a valid study from being begun."""
    found = start_points(study, read_study)
    return [*searches_that_change_the_question(study), *found.problems, *_baseline(study, found)]


def _baseline(study: Study, found: StartPoints) -> Iterator[Problem]:
    """A baseline of the confirmation that no trial can be."""
    if study.confirm is None or study.confirm.baseline is None:
        return
    given, label = study.confirm.baseline, "confirm.baseline"
    if study.confirm.baseline_config is None:
        searched = study.varied.get("method.name")
        expected = [study.method.name] if searched is None else [str(name) for name in searched.choice or ()]
        kind = "a method of the study"
    else:
        expected = [point.origin for point in found.points if point.origin.startswith(START_FROM)]
        kind = "a config of `start_from`"
    if given not in expected:
        known = f", which has {listed(expected)}" if expected else ", which has none"
        message = f"expected {kind}{known}, got {given}"
        yield Problem(label=label, message=message, path=tuple(label.split(".")))


def resolved_start_points(study: Study) -> list[StartPoint]:
    """The configs that a new study begins with, those of files included.

    Raises:
        StudyFileError: a file cannot be read, or its values are outside the search.
    """
    found = start_points(study, read_study)
    if found.problems:
        raise StudyFileError("; ".join(str(problem) for problem in found.problems))
    return found.points
