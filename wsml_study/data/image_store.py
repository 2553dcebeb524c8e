"""Decoded and resized images in one memory-mapped file, shared by every process of a machine.

A file of the store is written once, under a lock, beside its final place, and renamed when it is complete: who opens it
sees all of it or none. Its name is a fingerprint of the images and of what was done to them; a changed image leads to
another file.

Shapes: N images, c channels, H = W = size pixels.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from PIL import Image, UnidentifiedImageError

from wsml_study.data.dataset import ImageFiles, ImageSource, RenderedImages
from wsml_study.data.problem_list import data_error
from wsml_study.errors import DataError

VERSION = 1
"""Part of every fingerprint. Raise it when the same image would be stored as other pixels."""

ROWS_PER_TASK = 32
"""Images that a thread decodes at a stretch, and the step of the progress."""

MODES = {1: "L", 3: "RGB"}

Images = npt.NDArray[np.uint8]
MappedImages = np.memmap[tuple[int, ...], np.dtype[np.uint8]]
OpenPicture = Callable[[int], Image.Image]
"""Row -> picture, any size and mode."""

Progress = Callable[[int, int], None]
"""Called with the number of images done and of all; never called where the store has them already."""


def open_images(
    source: ImageSource,
    *,
    size: int,
    channels: int,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Images:
    """Images (N, channels, size, size) uint8, memory-mapped and read-only; decoded now if never before.

    Each image is converted to gray or RGB and resized to a square without keeping its aspect, bilinearly with
    antialiasing. Several processes may ask for the same images at once: one does the work, the others wait for it.

    Args:
        source: where the images come from.
        size: pixels of a side.
        channels: 1 for gray, 3 for RGB.
        cache_dir: folder of the store; `default_cache_dir()` if None.
        progress: told how far the work has got, in the calling thread.

    Raises:
        ValueError: there are no images, or size or channels are impossible.
        DataError: images are missing or unreadable (all of them are counted, the first ones named), or the store cannot
            be written or is damaged.
    """
    if len(source) == 0 or size < 1 or channels not in MODES:
        raise ValueError(
            f"expected images, a size of at least 1 and 1 or 3 channels, got {len(source)} images, size {size}, "
            f"{channels} channels"
        )
    folder = default_cache_dir() if cache_dir is None else Path(cache_dir)
    shape = (len(source), channels, size, size)
    stored = folder / _file_name(source, shape)
    if not stored.exists():
        with _lock(stored):
            # Another process may have stored them while this one waited.
            if not stored.exists():
                _store(source, stored, shape, progress)
    return _open(stored, shape)


def stored_images(source: ImageSource, *, size: int, channels: int, cache_dir: Path | None = None) -> Path:
    """Where the store keeps these images, or would.

    Raises:
        DataError: images are missing.
    """
    folder = default_cache_dir() if cache_dir is None else cache_dir
    return folder / _file_name(source, (len(source), channels, size, size))


def default_cache_dir() -> Path:
    """$WSML_CACHE, or ~/.cache/wsml-study."""
    return Path(os.environ.get("WSML_CACHE") or Path.home() / ".cache" / "wsml-study")


def _file_name(source: ImageSource, shape: tuple[int, ...]) -> str:
    _, channels, height, width = shape
    digest = hashlib.sha256(f"{VERSION} {shape}".encode())
    for part in _identity(source):
        digest.update(b"\0" + part.encode(errors="surrogateescape"))
    return f"images-{height}x{width}x{channels}-{digest.hexdigest()[:32]}.npy"


def _identity(source: ImageSource) -> Iterator[str]:
    """Everything that decides the pixels; of a file, its size and time of change stand for its content."""
    if isinstance(source, RenderedImages):
        yield f"rendered {source.identity}"
        return
    yield f"files {source.folder.resolve()}"
    missing = []
    for name in source.names:
        try:
            status = (source.folder / name).stat()
        except OSError as error:
            missing.append(f"{name}: {error.strerror}")
        else:
            yield f"{name}\0{status.st_size} {status.st_mtime_ns}"
    if missing:
        raise data_error(source.folder, missing, remedy="put these images back; the labels list them")


@contextmanager
def _lock(stored: Path) -> Iterator[None]:
    """One process at a time. The lock of a process that was killed is free."""
    lock = FileLock(stored.with_suffix(".lock"))
    with _writing(stored):
        stored.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _store(source: ImageSource, stored: Path, shape: tuple[int, ...], progress: Progress | None) -> None:
    # Under the lock nobody else writes here; what a killed process left is overwritten.
    unfinished = stored.with_suffix(".unfinished")
    try:
        with _writing(stored, num_bytes=math.prod(shape)):
            images_NcHW = _reserve(unfinished, shape)
        _fill(images_NcHW, source, progress)
        if _file_name(source, shape) != stored.name:
            raise DataError("images changed while they were decoded; start again when nothing writes to them")
        with _writing(stored):
            images_NcHW.flush()
            _rename(unfinished, stored)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _reserve(path: Path, shape: tuple[int, ...]) -> MappedImages:
    """A new file of zeros that has its place on the disk.

    Writing to a memory map on a full disk kills the process without a word; here a full disk is an OSError.
    """
    images_NcHW = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # file systems that cannot reserve
                    raise
    return images_NcHW


def _rename(unfinished: Path, stored: Path) -> None:
    """Rename once the content has reached the disk: after a power cut the file is whole or absent."""
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(stored)
    folder = os.open(stored.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open(stored: Path, shape: tuple[int, ...]) -> Images:
    try:
        images_NcHW: Images = np.load(stored, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{stored}: cannot be read as stored images ({error}); delete it to have it made anew"
        ) from error
    if images_NcHW.shape != shape or images_NcHW.dtype != np.uint8:
        raise DataError(
            f"{stored}: expected uint8 images {shape}, got {images_NcHW.dtype} {images_NcHW.shape}; delete it to "
            f"have it made anew"
        )
    return images_NcHW


@contextmanager
def _writing(stored: Path, num_bytes: int | None = None) -> Iterator[None]:
    """Say where and how much was to be written, and the way out, if that fails."""
    try:
        yield
    except OSError as error:
        need = "" if num_bytes is None else f" of {num_bytes:,} bytes"
        raise DataError(
            f"{stored.parent}: cannot keep decoded images{need} there: {error.strerror}; "
            f"set WSML_CACHE to a folder with room for them"
        ) from error


def _fill(images_NcHW: Images, source: ImageSource, progress: Progress | None) -> None:
    """Decode all images, in threads: Pillow lets go of the interpreter while it decodes and resizes."""
    num_images = len(source)
    open_picture = picture_opener(source)
    done, unreadable = 0, []
    executor = ThreadPoolExecutor(max_workers=num_cpus())
    try:
        tasks = [
            executor.submit(_fill_rows, images_NcHW, range(start, min(start + ROWS_PER_TASK, num_images)), open_picture)
            for start in range(0, num_images, ROWS_PER_TASK)
        ]
        for task in as_completed(tasks):
            num_rows, failures = task.result()
            done += num_rows
            unreadable += failures
            if progress is not None:
                progress(done, num_images)
    finally:
        executor.shutdown(cancel_futures=True)
    if unreadable:
        _raise_unreadable(source, unreadable)


def _fill_rows(images_NcHW: Images, rows: range, open_picture: OpenPicture) -> tuple[int, list[tuple[int, str]]]:
    """How many rows these were, and which of them are unreadable and why."""
    _, channels, height, width = images_NcHW.shape
    failures = []
    for row in rows:
        try:
            with open_picture(row) as picture:
                resized = picture.convert(MODES[channels]).resize((width, height), Image.Resampling.BILINEAR)
        except UnidentifiedImageError:
            failures.append((row, "not an image of a known format"))
        except Exception as error:  # a damaged file can make a decoder raise anything
            failures.append((row, str(error) or type(error).__name__))
        else:
            images_NcHW[row] = np.asarray(resized).reshape(height, width, channels).transpose(2, 0, 1)
    return len(rows), failures


def _raise_unreadable(source: ImageSource, failures: list[tuple[int, str]]) -> None:
    if isinstance(source, RenderedImages):
        raise DataError(f"{source.identity}: rendered image {failures[0][0]} is no picture: {failures[0][1]}")
    problems = [f"{source.names[row]}: {reason}" for row, reason in sorted(failures)]
    raise data_error(source.folder, problems, remedy="put readable images in their place, or take them off the lists")


def picture_opener(source: ImageSource) -> OpenPicture:
    """A function that opens the picture of a row; who calls it closes the picture."""
    if isinstance(source, ImageFiles):
        return lambda row: Image.open(source.folder / source.names[row])
    rendered_NcHW = source.render()
    assert len(rendered_NcHW) == len(source)
    gray = rendered_NcHW.shape[1] == 1
    return lambda row: Image.fromarray(rendered_NcHW[row, 0] if gray else rendered_NcHW[row].transpose(1, 2, 0))


def num_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
