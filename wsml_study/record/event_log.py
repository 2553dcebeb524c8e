"""The event log of a study: append-only, one JSON object per line, written to disk before any code acts on an event.

Everything else about a study (history, tables, reports) is derived from it.
"""

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
    """Appends events to a file and applies them to the history.

    Attributes:
        path: of the file.
        history: the state after all events.
        dropped: text of a torn last line that was removed when the log was opened; None without one.
        failure: why `append` failed, or what else must end the run; None while all is well. With it `append` only
            raises: an event after a line that was cut short would damage the log.
    """

    def __init__(self, path: Path, mirror: EventMirror | None = None) -> None:
        """Open or create a log and replay it.

        Args:
            path: of the file.
            mirror: also receives each event, for studies in remote storage.

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
            # Unbuffered: a line that did not fit on the disk must not be written after all when the file is closed.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise _cannot_write(path, error) from error

    def append(self, event: str, **details: Any) -> None:
        """Write an event with the current time to disk, and apply it to the history.

        Raises:
            ResultsError: the file or the remote storage cannot be written, or the file was moved or deleted, now or
                at an earlier event.
        """
        if self.failure is not None:
            raise self.failure
        # The number lets a reader notice a line that was removed.
        entry = {"event": event, "number": self._num_events + 1, "time": time.time(), **details}
        try:
            line = (json.dumps(entry, allow_nan=False) + "\n").encode()
            # On a nearly full disk, an unbuffered write may write only the beginning, without an error.
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # Without fsync a power failure could lose an event after a checkpoint was deleted because of it.
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
        # Last, so that the history never contains an event that a resumed run would not find in the log.
        self._num_events += 1
        self.history.apply(entry)

    def _check_place(self) -> None:
        """Check that the open file is still the one at the path: writing to a deleted file raises no error."""
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
        """Close the file."""
        self._file.close()

    def _cut_torn_line(self) -> None:
        # A last line without a line end was torn by a crash. `append` had not returned, so no code acted on the event:
        # removing it is safe, and the next event would otherwise be appended to the same line.
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                self.dropped = content[whole:].decode("utf-8", errors="replace")
                file.truncate(whole)


def _cannot_write(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path}: {error.strerror or error}; free some space or set another `storage`, then run again")
