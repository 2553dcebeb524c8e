"""Follows the event log of a study that may be running: only what was appended since is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsml_study.errors import ResultsError
from wsml_study.record.events import add_event, located_events
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import refuse_lost_events

COMPARED_BYTES = 4096
"""How much of the beginning and of the end of what was read is compared, to notice another log in its place."""


class GrowingLog:
    """The events of a log so far, and the history after them.

    Attributes:
        path: of the file; there need not be one yet.
        events: oldest first.
        history: state after all events; a new object once another log has taken the place of the one before.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[dict[str, Any]] = []
        self.history = StudyHistory()
        self._num_bytes, self._start, self._end = 0, b"", b""
        self._state: tuple[int, int] | None = None
        self._failure: tuple[tuple[int, int], ResultsError] | None = None

    def read(self) -> list[dict[str, Any]]:
        """Read what is new, and return it; all events after another log has taken the place of the one before.

        Raises:
            ResultsError: the log cannot be read or is damaged; again by each call, until it is written.
        """
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            if self._state is not None:
                self._forget()
            return []
        state = stat.st_size, stat.st_mtime_ns
        if self._failure is not None and self._failure[0] == state:
            raise self._failure[1]
        if self._state == state:
            return []
        try:
            new = self._read_new()
        except (ResultsError, OSError) as error:
            self._forget()
            failure = error if isinstance(error, ResultsError) else ResultsError(f"{self.path}: {error.strerror}")
            self._failure = state, failure
            raise failure from error
        self._state, self._failure = state, None
        return new

    def _read_new(self) -> list[dict[str, Any]]:
        with self.path.open("rb") as file:
            start = file.read(len(self._start))
            file.seek(self._num_bytes - len(self._end))
            if (start, file.read(len(self._end))) != (self._start, self._end):
                self._forget()
                file.seek(0)
            content = file.read()
        content = content[: content.rfind(b"\n") + 1]
        last = self.events[-1].get("number") if self.events else None
        new = []
        for number, event in located_events(self.path, content, lines=len(self.events), before=last):
            add_event(self.path, number, event, self.history)
            self.events.append(event)
            new.append(event)
        refuse_lost_events(self.path.parent, self.history)
        self._num_bytes += len(content)
        self._start = self._start if len(self._start) == COMPARED_BYTES else (self._start + content)[:COMPARED_BYTES]
        self._end = (self._end + content)[-COMPARED_BYTES:]
        return new

    def _forget(self) -> None:
        self.events, self.history = [], StudyHistory()
        self._num_bytes, self._start, self._end, self._state = 0, b"", b"", None
