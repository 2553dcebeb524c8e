"""Lines of the text files that datasets come with, whatever wrote them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from wsml_study.errors import DataError


def numbered_lines(file: Path, *, remedy: str) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that is not blank; ends may be LF or CRLF, a byte order mark is skipped.

    Raises:
        DataError: the file cannot be read; the message ends in the remedy.
    """
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise DataError(f"{file}: {getattr(error, 'strerror', None) or error}; {remedy}") from error
    # Not splitlines(): names may hold any character but a line end.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def first_existing(*candidates: Path) -> Path | None:
    """The first of these files or folders that is there."""
    return next((path for path in candidates if path.exists()), None)


def absent(folder: Path, names: list[str]) -> list[str]:
    """Those of the names, relative to a folder and possibly in folders below it, that are no files there."""
    listed: dict[str, set[str]] = {}
    missing = []
    for name in names:
        parent, _, last = name.rpartition("/")
        if parent not in listed:
            listed[parent] = _list(folder / parent)
        if last not in listed[parent]:
            missing.append(name)
    return missing


def _list(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208  names alone: one call for all images
    except OSError:
        return set()
