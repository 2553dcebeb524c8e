"""The event log of a study: append-only, one JSON object per line, written to disk before any code acts on an event.

Everything else about a study (history, tables, reports) is derived from it.

Events that arrive together are written together (group commit): a write to an object store takes tens of milliseconds,
for one event or for a hundred. A thread writes a group while the next one gathers. What must not happen before an event
is durable waits for the write of its group.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from wsml_study.errors import ResultsError
from wsml_study.record.events import replayed
from wsml_study.record.history import StudyHistory
from wsml_study.record.storage import EventMirror

LOOK_BACK_BYTES = 2**16

_Act = Callable[[], None]


@dataclass(frozen=True)
class _Write:
    """A group of events on its way to the disk, and what waits for it."""

    future: Future[None]
    waiting: list[_Act]


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
        self._writer: ThreadPoolExecutor | None = None  # in a block of `grouped`
        self._may_write: _Act | None = None
        self._group: list[bytes] = []
        self._waiting: list[_Act] = []  # for events of the group
        self._writing: _Write | None = None
        self._is_due = False  # the group is to be written once the write before it has ended
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._cut_torn_line()
            self.history = StudyHistory()
            if path.exists():
                self._num_events, self.history = replayed(path)
            # Unbuffered: a line that did not fit on the disk must not be written after all when the file is closed.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise _cannot_write(path, error) from error

    def append(self, event: str, **details: Any) -> None:
        """Write an event with the current time to disk, and apply it to the history.

        In a block of `grouped` it is applied at once and written by the next `commit`.

        Raises:
            ResultsError: the file or the remote storage cannot be written, or the file was moved or deleted, now or
                at an earlier event.
        """
        if self.failure is not None:
            raise self.failure
        # The number lets a reader notice a line that was removed.
        entry = {"event": event, "number": self._num_events + 1, "time": time.time(), **details}
        line = (json.dumps(entry, allow_nan=False) + "\n").encode()
        if self._writer is not None:
            self._group.append(line)
        else:
            self._write(line)
        # Last, so that the history never contains an event that a resumed run would not find in the log. In a group it
        # does until the next commit, and all that leaves this process waits for that.
        self._num_events += 1
        self.history.apply(entry)

    @contextmanager
    def grouped(self, may_write: Callable[[], None]) -> Iterator[None]:
        """Write the events of the block in groups: those since the last commit together, with the next one.

        Args:
            may_write: asked before each group is written; raises ResultsError if another process writes the log now.

        Raises:
            ResultsError: at the end of the block, as `commit`.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="event-log") as self._writer:
            self._may_write = may_write
            try:
                yield
            finally:
                try:
                    if self.failure is None:
                        self.commit()
                finally:
                    self._writer = None

    def commit(self) -> None:
        """Wait until all events so far are durable, and do what waits for that; no-op if nothing does.

        Raises:
            ResultsError: as `append`. What waits is then never done.
        """
        self.begin_commit()
        while self._writing is not None:
            self._settle(self._writing)

    def begin_commit(self) -> None:
        """Begin to make all events so far durable, in a thread; after the write before it, if that has not ended yet.

        Raises:
            ResultsError: as `append`, now or in an earlier write.
        """
        self._is_due = True
        self.settle()
        self._begin_write()

    def settle(self) -> None:
        """Do what waits for a write, if that has ended.

        Raises:
            ResultsError: as `append`; what waits is then never done.
        """
        if self.failure is not None:
            raise self.failure
        if self._writing is not None and self._writing.future.done():
            self._settle(self._writing)

    def once_durable(self, act: _Act) -> None:
        """Do something that must not happen before the events so far are durable: at once if they are."""
        if self._group:
            self._waiting.append(act)
        elif self._writing is not None:
            self._writing.waiting.append(act)
        else:
            act()

    def _begin_write(self) -> None:
        """Hand the group to the writer, if it is due and the writer is free."""
        if self._writing is not None or not self._is_due:
            return
        self._is_due = False
        if self._group:
            assert self._writer is not None
            lines, waiting = b"".join(self._group), self._waiting
            self._group, self._waiting = [], []
            self._writing = _Write(self._writer.submit(self._write, lines), waiting)

    def _settle(self, write: _Write) -> None:
        """Wait for a write, do what waits for it, and begin the next one if it is due."""
        write.future.result()
        while write.waiting:
            write.waiting.pop(0)()
        self._writing = None
        self._begin_write()

    def _write(self, lines: bytes) -> None:
        """Write one or several events to the file and to remote storage.

        Raises:
            ResultsError: as `append`.
        """
        try:
            if self._writer is not None and self._may_write is not None:
                self._may_write()
            # On a nearly full disk, an unbuffered write may write only the beginning, without an error.
            if self._file.write(lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # Without fsync a power failure could lose an event after a checkpoint was deleted because of it.
            os.fsync(self._file.fileno())
            if (gone := self._why_not_in_place()) is not None:
                raise gone
            if self._mirror is not None:
                self._mirror.append(lines)
        except OSError as error:
            self.failure = _cannot_write(self.path, error)
            raise self.failure from error
        except ResultsError as error:
            self.failure = error
            raise
        except BaseException:  # a signal, for example: how much of it was written is unknown
            self.failure = ResultsError(f"{self.path}: interrupted while events were written; run again")
            raise

    def fail(self, error: ResultsError) -> ResultsError:
        """Let nothing be appended any more, because something else of the study could not be written.

        Returns:
            the failure: that the study's folder is gone if it is, or else `error`.
        """
        self.failure = self._why_not_in_place() or error
        return self.failure

    def _why_not_in_place(self) -> ResultsError | None:
        """The error if the open file is no longer the one at the path: writing to a deleted file raises none."""
        try:
            is_there = os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            is_there = False
        if is_there:
            return None
        return ResultsError(
            f"{self.path} was deleted, moved or replaced while the study ran; move the study's folder back and run "
            f"again: only what happened since is lost"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _cut_torn_line(self) -> None:
        # A last line without a line end was torn by a crash. `append` had not returned, or its group was not committed,
        # so no code acted on the event: removing it is safe, and the next event would otherwise be appended to the same
        # line.
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            whole = _end_of_whole_lines(file, end)
            if whole < end:
                file.seek(whole)
                self.dropped = file.read().decode("utf-8", errors="replace")
                file.truncate(whole)


def _end_of_whole_lines(file: BinaryIO, end: int) -> int:
    """Where the last line end before `end` is passed; looks from the end, as the log may be long."""
    while end > 0:
        start = max(0, end - LOOK_BACK_BYTES)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _cannot_write(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path}: {error.strerror or error}; free some space or set another `storage`, then run again")
