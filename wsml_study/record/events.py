"""Reads the event log of a study."""

from __future__ import annotations

import gc
import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from wsml_study.errors import ResultsError
from wsml_study.record.event_forms import check_form
from wsml_study.record.history import StudyHistory
from wsml_study.record.storage import EVENTS
from wsml_study.record.tables import refuse_lost_events

Located = tuple[int, dict[str, Any]]
"""Line number in the log, from 1, and the event."""


def read_events(path: Path) -> list[dict[str, Any]]:
    """All complete events of a log, oldest first.

    A last line without a line end is skipped: the driver may be writing it right now.

    Raises:
        ResultsError: the file cannot be read, a line is not an event, or a line is missing.
    """
    return [event for _, event in _located(path)]


def read_log(path: Path) -> tuple[list[dict[str, Any]], StudyHistory]:
    """The events of a log, and the history after them.

    Raises:
        ResultsError: as `read_events`, or an event does not fit those before it.
    """
    events, history = [], StudyHistory()
    for number, event in _located(path):
        add_event(path, number, event, history)
        events.append(event)
    return events, history


def replayed(path: Path) -> tuple[int, StudyHistory]:
    """The number of events in a log, and the history after them; as `read_log`, without keeping the events."""
    num_events, history = 0, StudyHistory()
    with without_collection():
        for number, event in _located(path):
            add_event(path, number, event, history)
            num_events = number
    return num_events, history


@contextmanager
def without_collection() -> Iterator[None]:
    """No search for garbage: while a log is read there is none, and the search takes a fourth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def add_event(path: Path, number: int, event: dict[str, Any], history: StudyHistory) -> None:
    """Apply the event in a line of a log to the history of those before it.

    Raises:
        ResultsError: it does not fit them.
    """
    try:
        check_form(event)
        history.apply(event)
        _check_fit(event, history)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        expected = f"an event that fits those before it, got {event['event']!r} ({_told(error)})"
        raise _damaged(path, number, expected) from error


def read_history(folder: Path) -> StudyHistory:
    """The history of the study in a folder; an empty one if there is no event log.

    Raises:
        ResultsError: as `read_log`, or the log is empty and the tables are not.
    """
    path = folder / EVENTS
    if not path.exists():
        return StudyHistory()
    history = replayed(path)[1]
    refuse_lost_events(folder, history)
    return history


def _check_fit(event: dict[str, Any], history: StudyHistory) -> None:
    """Raise ValueError if an epoch names a best one that there is not, or has not an AP for each class."""
    if event["event"] != "epoch":
        return
    result, epochs = event["result"], history.trials[event["trial"]].epochs
    if result.get("best_epoch", result["epoch"]) not in epochs:
        raise ValueError(f"result.best_epoch: expected an epoch of the trial, got {result['best_epoch']}")
    for name, aps in (
        ("result.val_ap_C", result.get("val_ap_C")),
        ("test.test_ap_C", (event.get("test") or {}).get("test_ap_C")),
    ):
        if aps is not None and len(aps) != len(history.classes):
            raise ValueError(f"{name}: expected an AP for each of {len(history.classes)} classes, got {len(aps)}")


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else repr(error)


def _located(path: Path) -> Iterator[Located]:
    try:
        with path.open("rb") as file:
            # Line by line: the whole text of a large study's log would take as much memory as what is kept of it.
            complete = itertools.takewhile(lambda line: line.endswith(b"\n"), file)
            yield from _events_in(path, (line[:-1] for line in complete))
    except OSError as error:
        raise ResultsError(f"{path}: expected the event log, a file: {error.strerror}") from error


def located_events(path: Path, content: bytes, *, lines: int = 0, before: int | None = None) -> Iterator[Located]:
    """The complete events in a log's content, or in what was appended to it.

    Args:
        path: of the log, for messages.
        content: of the log, or what follows its first lines.
        lines: how many these are.
        before: the number of the event in the last of them; None where it has none.

    Raises:
        ResultsError: a line is not an event, or a line is missing.
    """
    whole = content[: content.rfind(b"\n") + 1]
    yield from _events_in(path, whole.splitlines(), lines=lines, before=before)


def _events_in(
    path: Path, complete: Iterable[bytes], *, lines: int = 0, before: int | None = None
) -> Iterator[Located]:
    """As `located_events`, of complete lines."""
    for number, line in enumerate(complete, start=lines + 1):
        event = _event(path, number, line)
        # Logs of earlier versions do not number their events.
        if before is not None and event.get("number", before + 1) != before + 1:
            raise _damaged(path, number, f"event {before + 1}, got event {event['number']}")
        before = event.get("number")
        yield number, event


def _event(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        event = _parsed(line)
        if not isinstance(event, dict):
            raise TypeError(event)
        _ = event["event"]
        return event
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        shown = line[:60].decode("utf-8", errors="backslashreplace")
        raise _damaged(path, number, f"an event as one JSON object, got {shown!r}") from error


def _parsed(line: bytes) -> Any:
    """The JSON value in a line of a log.

    Raises:
        ValueError, RecursionError: there is none.
    """
    try:
        return from_json(line, allow_inf_nan=False)  # in a third of the time that the standard library takes
    except ValueError:  # it also refuses half of a surrogate pair, which a file name can have
        return DECODER.decode(line.decode("utf-8"))


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


DECODER = json.JSONDecoder(parse_constant=_no_number)
"""`json.loads` would make one for every line."""


def _damaged(path: Path, number: int, expected: str) -> ResultsError:
    return ResultsError(
        f"{path}:{number}: expected {expected}; the log is damaged: restore it from a copy, or set the study aside "
        f"with --restart"
    )
