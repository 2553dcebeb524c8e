"""The append-only truth of a study: one JSON line per event, on disk before anything acts on it."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

from wsml_study.errors import ResultsError
from wsml_study.record.events import read_log
from wsml_study.record.history import StudyHistory
from wsml_study.record.storage import EventMirror


class EventLog:
    """Appends events to a file and keeps the history that they add up to."""

    def __init__(self, path: Path, mirror: EventMirror | None = None) -> None:
        """Open or create a log and replay it.

        Args:
            path: the file.
            mirror: receives each event as well, where the study is kept elsewhere.

        A last line without a line end is the trace of a write that a crash cut short. Nothing can have acted on it;
        it is cut off, and `dropped` says what it was.

        Raises:
            ResultsError: a line is not an event, or the file cannot be read or written.
        """
        self.path = path
        self._mirror = mirror
        self.dropped: str | None = None
        self.failure: ResultsError | None = None
        self._num_events = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._cut_torn_line()
            self.history = read_log(path)[1] if path.exists() else StudyHistory()
            if path.exists():
                self._num_events = path.read_bytes().count(b"\n")
            # Without a buffer: what does not fit on the disk must not come back when the file is closed.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise _cannot_write(path, error) from error

    def append(self, event: str, **details: Any) -> None:
        """Write an event with the current time, on disk when this returns, and add it to the history.

        Raises:
            ResultsError: the disk is full or gone, or the file is no longer where it was.
        """
        # The number lets a reader notice a line that was removed.
        entry = {"event": event, "number": self._num_events + 1, "time": time.time(), **details}
        try:
            line = (json.dumps(entry, allow_nan=False) + "\n").encode()
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
            self._check_place()
            if self._mirror is not None:
                self._mirror.append(line)
        except OSError as error:
            self.failure = _cannot_write(self.path, error)
            raise self.failure from error
        except ResultsError as error:
            self.failure = error
            raise
        self._num_events += 1
        self.history.apply(entry)

    def _check_place(self) -> None:
        """See that the open file is still the one at the path: writing to a deleted file raises no error."""
        try:
            is_there = os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise ResultsError(
                f"{self.path} was deleted, moved or replaced while the study ran; move the study's folder back and run "
                f"again: only what happened since is lost"
            )

    def close(self) -> None:
        """Close the file; `append` is over."""
        self._file.close()

    def _cut_torn_line(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                self.dropped = content[whole:].decode("utf-8", errors="replace")
                file.truncate(whole)


def _cannot_write(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path}: {error.strerror or error}; make room or name another `storage`, then run again")
