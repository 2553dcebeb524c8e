"""What a user can mend. Anything else that escapes is a bug and shows its traceback."""

from __future__ import annotations

import re

UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line end and tab aside, those that turn the direction of text, and halves of surrogate pairs."""


def printable(text: str) -> str:
    r"""A text that is safe to print: a name may hold what a terminal would obey or what cannot be encoded.

    >>> printable("a\x1b[2Jb\nc")
    'a\\x1b[2Jb\nc'
    """
    return UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


class WsmlStudyError(Exception):
    """Something that the user can mend; the message says what was expected, what came, and what to do."""


class StudyFileError(WsmlStudyError):
    """A study file has problems; the message lists all of them with file:line:column."""


class MethodError(WsmlStudyError, ValueError):
    """There is no method, or head, of a name."""


class DataError(WsmlStudyError):
    """Images or labels are missing, unreadable or contradict each other."""


class ResultsError(WsmlStudyError):
    """A results folder is missing, locked, unreadable or belongs to a different study."""


class ResourcesError(WsmlStudyError):
    """The machine or cluster cannot run what the study asks for."""


class TrainingError(WsmlStudyError):
    """A trial cannot go on: a loss that is not finite, a checkpoint of another config, weights that do not fit."""


class PluginError(WsmlStudyError):
    """An installed plug-in cannot be loaded, or has the name of something else."""
