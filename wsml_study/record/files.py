"""Atomic writes of files."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

from pyarrow import fs

from wsml_study.errors import ResultsError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: readers see the old content or all of the new content, even after a crash.

    Raises:
        ResultsError: the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # fsync comes before the rename: otherwise the new name could survive a power failure without the content.
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ResultsError(
            f"{path}: {error.strerror or error}; free some space or set another folder, then run again"
        ) from error


def write_in_study(filesystem: fs.FileSystem, folder: str, name: str, content: bytes) -> None:
    """Write a file atomically into a folder of a study, creating that folder, but never the study's own.

    Raises:
        ResultsError: the folder cannot be written, or the study's folder around it is gone.
    """
    if isinstance(filesystem, fs.LocalFileSystem):
        study = Path(folder).parent
        if not study.exists():  # a new one would be in the way of the old one when that is moved back
            raise ResultsError(f"{study}: the study's folder was deleted or moved")
        write_whole(Path(folder) / name, content)
        return
    path = f"{folder}/{name}"
    try:
        with filesystem.open_output_stream(path) as file:
            file.write(content)
    except OSError as error:
        raise ResultsError(f"{path}: {error}") from error
