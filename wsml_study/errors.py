"""What a user can mend. Anything else that escapes is a bug and shows its traceback."""

from __future__ import annotations


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
