"""Lines of the text files of datasets, with any encoding and line ends that occur."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wsml_study.errors import DataError

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins as the mark of UTF-16 does
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
GUESS = "cp1252"
"""What Excel and old Windows programs write in western Europe and America."""


OTHER_KINDS = {
    b"PK\3\4": "an Excel file or another ZIP archive; save the table as `CSV UTF-8`",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the table as `CSV UTF-8`",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"PAR1": "Parquet; call it .parquet",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with `git lfs pull`",
    b"<!doctype html": "an HTML page, as a download that needs a login gives; download the file itself",
    b"<html": "an HTML page, as a download that needs a login gives; download the file itself",
}
"""How files of other kinds begin, lower case where it is text, and what to do about them."""


@dataclass(frozen=True)
class ReadText:
    """A text file.

    Attributes:
        text: its content, without a byte order mark.
        encoding: that it was read in.
        guessed: the encoding that `text` was read in although nothing says that it is this one; None if it is certain.
    """

    text: str
    encoding: str
    guessed: str | None = None


def kind_of(content: bytes) -> str | None:
    """What a file is, with the remedy, if it begins as those of another kind do; None if it does not.

    >>> kind_of(b"image,cat"), kind_of(b"PAR1...")
    (None, 'Parquet; call it .parquet')
    """
    start = content[:64]
    for head, kind in OTHER_KINDS.items():
        if start.startswith(head) or start.lstrip().lower().startswith(head):
            return kind
    return None


def encoding_of(file: Path) -> str:
    """The encoding that a file's byte order mark names, or else UTF-8."""
    with file.open("rb") as stream:
        start = stream.read(4)
    return next((name for mark, name in BYTE_ORDER_MARKS.items() if start.startswith(mark)), "utf-8")


def read_text(file: Path, *, encoding: str | None, remedy: str) -> ReadText:
    """A text file of the user's own, in UTF-8, in UTF-16 or 32 with its mark, or in the encoding given.

    Raises:
        DataError: the file cannot be read, or holds something else than text; the message ends in the remedy.
    """
    try:
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise DataError(f"{file}: {getattr(error, 'strerror', None) or error}; {remedy}") from error
    if (other := kind_of(content)) is not None:
        raise DataError(f"{file}: expected text, got {other}")
    found = next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), None)
    if found is None and encoding is None and b"\0" in content:
        raise DataError(f"{file}: expected text, got zero bytes; save it as text in UTF-8, or name its `encoding`")
    try:
        used = found or encoding or "utf-8"
        return ReadText(content.decode(used), used)
    except LookupError as error:
        raise DataError(f"{file}: {encoding!r} is no encoding that Python knows; try utf-8 or cp1252") from error
    except UnicodeDecodeError as error:
        if found:
            told = "as its first bytes say; save it again"
            raise DataError(f"{file}: expected text in {found}, {told}: {error.reason}") from error
        if encoding:
            told = "leave `encoding` out for UTF-8 and UTF-16, or name another one, such as cp1252"
            raise DataError(
                f"{file}: expected text in {encoding}, as `encoding` says: {error.reason}; {told}"
            ) from error
        return ReadText(content.decode(GUESS, errors="replace"), GUESS, guessed=GUESS)


def not_utf8(guessed: str) -> str:
    """What to say of a file whose encoding could only be guessed."""
    return (
        f"it is not UTF-8; save it as `CSV UTF-8`, or, if it is {guessed}, say `encoding: {guessed}` under data.labels "
        "of a study file"
    )


def own_lines(file: Path, *, encoding: str | None = None, remedy: str) -> Iterator[tuple[int, str]]:
    """As `numbered_lines`, of a file of the user's own, whose encoding has to be certain.

    Raises:
        DataError: as `read_text`, or the encoding can only be guessed.
    """
    read = read_text(file, encoding=encoding, remedy=remedy)
    if read.guessed is not None:
        raise DataError(f"{file}: {not_utf8(read.guessed)}")
    yield from _numbered(read.text)


def numbered_lines(file: Path, *, remedy: str) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that is not blank; ends may be LF or CRLF, a byte order mark is skipped.

    Raises:
        DataError: the file cannot be read; the message ends in the remedy.
    """
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise DataError(f"{file}: {getattr(error, 'strerror', None) or error}; {remedy}") from error
    yield from _numbered(text)


def _numbered(text: str) -> Iterator[tuple[int, str]]:
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
        return set(os.listdir(folder))  # noqa: PTH208  only names: one call for all images
    except OSError:
        return set()
