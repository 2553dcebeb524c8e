"""Files of the cache: made by one process while others wait, and in use whole or not at all.

A file is filled block by block beside its final place and renamed when it is complete. Which blocks are done is noted
beside it as soon as they are on the disk, so that the next process continues the work of one that was killed.

Files have the permissions that umask leaves them. What another user could have written is compared with a sample that
is computed anew before it is used; `writable_by_others` says which files these are.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from wsml_study.errors import DataError

NOTE_INTERVAL_S = 2.0
"""About how much work is lost at most if the process is killed."""

TASKS_PER_THREAD = 4
"""Blocks being filled or waiting to be noted; more would only take memory."""

Progress = Callable[[int, int], None]
"""Called with the number of rows done and of all; not called if the cache has them already."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Array = npt.NDArray[Any]


def default_cache_dir() -> Path:
    """$WSML_CACHE, or ~/.cache/wsml-study."""
    return Path(os.environ.get("WSML_CACHE") or Path.home() / ".cache" / "wsml-study")


def writable_by_others(stored: Path) -> str | None:
    """Why the content of a file may come from another user, root aside; None if only this user can write it."""
    status = stored.stat()
    if status.st_uid not in (os.geteuid(), 0):
        return "it belongs to another user"
    return "every user can write to it" if status.st_mode & stat.S_IWOTH else None


def num_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def made_once(stored: Path, make: Callable[[], None], *, what: str) -> None:
    """Have a file made if it is not there; one process makes it, the others wait. The lock of a killed one is released.

    Args:
        stored: the file.
        make: makes it, whole or not at all.
        what: the content in words, for errors.

    Raises:
        DataError: the folder cannot be written.
    """
    if stored.exists():
        return
    lock = FileLock(stored.with_suffix(".lock"))
    with writing(stored, what):
        stored.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        # Another process may have made it while this one waited.
        if not stored.exists():
            make()
    finally:
        lock.release()


@contextmanager
def writing(stored: Path, what: str, num_bytes: int | None = None) -> Iterator[None]:
    """Say where and how much was to be written, and the way out, if that fails."""
    try:
        yield
    except OSError as error:
        need = "" if num_bytes is None else f" of {num_bytes:,} bytes"
        raise DataError(
            f"{stored.parent}: cannot keep {what}{need} there: {error.strerror}; "
            f"set WSML_CACHE to a folder with room for them"
        ) from error


class Unfinished:
    """A file on its way to its final place, and the notes of what is in it already.

    Only the process that holds the lock of the final place uses it; it continues what an earlier process left.
    """

    def __init__(self, stored: Path) -> None:
        self.stored = stored
        self.path = stored.with_suffix(".unfinished")
        self.notes: list[dict[str, Any]] = []
        self._notes_path = stored.with_suffix(".notes")
        self._new: list[dict[str, Any]] = []
        self._noted_at = time.monotonic()
        if self.path.exists() and self._notes_path.exists():
            # A last line without a line end is the trace of a write that was cut short.
            text = self._notes_path.read_text()
            self.notes = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def start_anew(self) -> None:
        """Discard what an earlier process left."""
        self.notes.clear()
        self.remove()

    def note(self, entry: dict[str, Any], flush: Callable[[], None]) -> None:
        """Remember that a block is done, on disk every `NOTE_INTERVAL_S` seconds.

        Args:
            entry: what the next process needs to continue.
            flush: brings the content of the file to the disk, which must happen before the note of it.
        """
        self._new.append(entry)
        if time.monotonic() - self._noted_at >= NOTE_INTERVAL_S:
            self.write_notes(flush)

    def write_notes(self, flush: Callable[[], None]) -> None:
        """Bring content and notes to the disk."""
        flush()
        with self._notes_path.open("a") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in self._new)
            file.flush()
            os.fsync(file.fileno())
        self.notes += self._new
        self._new = []
        self._noted_at = time.monotonic()

    def put_in_place(self) -> None:
        """Rename once the content has reached the disk: after a power cut the file is whole or absent."""
        sync(self.path)
        self.path.replace(self.stored)
        sync(self.stored.parent)
        self.remove()

    def remove(self) -> None:
        """Delete the file and the notes."""
        for path in (self.path, self._notes_path):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def make_array(
    stored: Path,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    *,
    rows_per_block: int,
    fill: Callable[[Array, list[range]], Iterator[range]],
    check: Callable[[], None],
    what: str,
    progress: Progress | None,
) -> None:
    """Make a .npy file of this shape, block of rows by block; call it within `made_once`.

    Args:
        stored: the file.
        shape: of the array, rows first.
        dtype: of the array.
        rows_per_block: rows that are filled at a stretch.
        fill: writes the rows of these blocks into the array and yields each block when it is done, in any order.
        check: raises DataError if what was written is not worth keeping.
        what: the content in words, for errors.
        progress: called with the rows done and all rows, in the calling thread.

    Raises:
        DataError: by `fill` or `check`, or because the disk is full; nothing is left behind. After any other end the
            next call continues the work.
    """
    unfinished = Unfinished(stored)
    try:
        with writing(stored, what, num_bytes=int(np.prod(shape)) * np.dtype(dtype).itemsize):
            array = _reserve(unfinished, shape, np.dtype(dtype))
        blocks = blocks_of(shape[0], rows_per_block)
        done = {note["block"] for note in unfinished.notes}
        num_done = sum(len(block) for number, block in enumerate(blocks) if number in done)
        try:
            for block in fill(array, [block for number, block in enumerate(blocks) if number not in done]):
                num_done += len(block)
                with writing(stored, what):
                    unfinished.note({"block": block.start // rows_per_block}, array.flush)
                if progress is not None:
                    progress(num_done, shape[0])
        finally:
            with writing(stored, what):
                unfinished.write_notes(array.flush)
        check()
        with writing(stored, what):
            unfinished.put_in_place()
    except DataError:
        unfinished.remove()
        raise


def open_array(stored: Path, shape: tuple[int | None, ...], dtype: npt.DTypeLike, *, what: str) -> Array:
    """The array of a .npy file, memory-mapped and read-only.

    Args:
        stored: the file.
        shape: what it must have; None for a length that only the file knows.
        dtype: what it must have.
        what: the content in words, for errors.

    Raises:
        DataError: the file is damaged or holds something else.
    """
    try:
        array: Array = np.load(stored, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{stored}: cannot be read as {what} ({error}); delete it to have it made anew") from error
    as_expected = len(array.shape) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    )
    if not as_expected or array.dtype != dtype:
        raise DataError(
            f"{stored}: expected {np.dtype(dtype)} {what} {shape}, got {array.dtype} {array.shape}; delete it to have "
            f"it made anew"
        )
    return array


def blocks_of(num_rows: int, rows_per_block: int) -> list[range]:
    """All rows, block by block.

    >>> blocks_of(5, 2)
    [range(0, 2), range(2, 4), range(4, 5)]
    """
    return [range(start, min(start + rows_per_block, num_rows)) for start in range(0, num_rows, rows_per_block)]


def in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Results as they come, of work that lets go of the interpreter; a few at a time, so that none pile up."""
    threads = num_cpus()
    waiting = iter(items)
    with ThreadPoolExecutor(max_workers=threads) as executor:
        try:
            running: set[Future[Result]] = {
                executor.submit(work, item) for item in islice(waiting, threads * TASKS_PER_THREAD)
            }
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {executor.submit(work, item) for item in islice(waiting, len(done))}
                for future in done:
                    yield future.result()
        finally:
            executor.shutdown(cancel_futures=True)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reserve(unfinished: Unfinished, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.memmap[Any, Any]:
    """An array that has its place on the disk: what an earlier process left of it, or zeros.

    Writing to a memory map on a full disk kills the process without a word; here a full disk is an OSError.
    """
    if unfinished.notes:
        left: np.memmap[Any, Any] = np.lib.format.open_memmap(unfinished.path, mode="r+")
        if left.shape == shape and left.dtype == dtype:
            return left
    unfinished.start_anew()
    array = np.lib.format.open_memmap(unfinished.path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with unfinished.path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, unfinished.path.stat().st_size)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # file systems that cannot reserve
                    raise
    return array
