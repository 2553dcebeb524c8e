"""Notes that people write beside a study, `notes.jsonl`: append-only, one JSON object per line."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime

import filelock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wsml_study.errors import ResultsError
from wsml_study.record.storage import StudyStorage

NOTES = "notes.jsonl"
LONGEST_NOTE, LONGEST_NAME = 4000, 80
WAIT_S = 20.0
"""How long to wait for another process that writes."""


class Note(BaseModel):
    """A note.

    Attributes:
        text: as it was written.
        by: who wrote it; may be empty.
        at: when, in ISO 8601 with a time zone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    text: str = Field(min_length=1, max_length=LONGEST_NOTE)
    by: str = Field(default="", max_length=LONGEST_NAME)
    at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def read_notes(storage: StudyStorage) -> list[Note]:
    """The notes of a study, oldest first; a last line that a crash has cut short is left out.

    Raises:
        ResultsError: a line is no note.
    """
    notes = []
    for number, line in enumerate(_whole_lines(storage.read(NOTES)).splitlines(), start=1):
        try:
            notes.append(Note.model_validate_json(line))
        except ValidationError as error:
            got = repr(line[:60].decode(errors="replace"))
            raise ResultsError(
                f"{storage.described}/{NOTES}:{number}: expected a note with text, by and at, got {got}; mend or "
                f"remove the line"
            ) from error
    return notes


def add_note(storage: StudyStorage, note: Note) -> None:
    """Append a note; it is on disk when this returns.

    Writers on one machine take turns; those on several machines that share a storage must not write at the same time.

    Raises:
        ResultsError: it cannot be written.
    """
    line = (json.dumps(note.model_dump(), ensure_ascii=False) + "\n").encode()
    folder = storage.folder
    try:
        with filelock.FileLock(folder.with_name(f".{folder.name}.notes.lock"), timeout=WAIT_S):
            whole = _whole_lines(storage.read(NOTES))
            if storage.remote is not None:
                storage.remote.write(NOTES, whole + line)  # objects cannot be appended to, and are written whole
                return
            with (folder / NOTES).open("ab", buffering=0) as file:
                file.truncate(len(whole))
                # On a nearly full disk, an unbuffered write may write only the beginning, without an error.
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
    except filelock.Timeout as error:
        raise ResultsError(f"{storage.described}/{NOTES}: another process is writing to it; try again") from error
    except OSError as error:
        raise ResultsError(f"{storage.described}/{NOTES}: {error.strerror or error}; nothing was kept") from error


def _whole_lines(content: bytes | None) -> bytes:
    return b"" if content is None else content[: content.rfind(b"\n") + 1]
