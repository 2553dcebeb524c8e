"""Checks that only a study which is about to begin must pass; recorded ones stay readable and go on as they were begun.

They need files that may be gone later, or refuse what earlier versions allowed.
"""

from __future__ import annotations

from pathlib import Path as FilePath

from wsml_study.errors import StudyFileError
from wsml_study.study.factors import searches_that_change_the_question
from wsml_study.study.problems import Problem
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study
from wsml_study.study.start_points import StartPoint, start_points


def read_new_study(path: FilePath | str) -> Study:
    """As `read_study`, of a study that is about to begin.

    Raises:
        StudyFileError: it is not a valid study, or not one that may begin; the message lists all problems, with places.
    """
    return read_study(path, further=problems_of_new_study)


def problems_of_new_study(study: Study) -> list[Problem]:
    """What keeps a valid study from being begun."""
    return [*searches_that_change_the_question(study), *start_points(study, read_study).problems]


def resolved_start_points(study: Study) -> list[StartPoint]:
    """The configs that a new study begins with, those of files included.

    Raises:
        StudyFileError: a file cannot be read, or its values are outside the search.
    """
    found = start_points(study, read_study)
    if found.problems:
        raise StudyFileError("; ".join(str(problem) for problem in found.problems))
    return found.points
