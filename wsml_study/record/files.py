"""Atomic writes of files."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

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
