"""The log of questions and answers of a study, `answers.jsonl`: append-only, one JSON object per line.

A line holds a set of questions, or the answers that were taken together: either all of them are there or none.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import filelock

from wsml_study.errors import ResultsError
from wsml_study.record.questions import Answer, QuestionSet, read_answer, read_question_set
from wsml_study.record.storage import ANSWERS, StudyStorage

WAIT_S = 20.0
"""How long to wait for another process that writes."""


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What the log holds, and how many of its bytes are whole lines."""

    sets: tuple[QuestionSet, ...]
    answers: tuple[Answer, ...]
    num_lines: int
    whole: bytes
    torn: str | None


class AnswerLog:
    """Questions that a study has asked, and what people have answered.

    Every method reads the file anew, since a server of questions and other commands may write to it. Writers on one
    machine take turns; those on several machines that share a storage must not write at the same time.

    Attributes:
        place: where the log is, for messages.
    """

    def __init__(self, storage: StudyStorage) -> None:
        """The log of a study; there need not be one yet.

        Args:
            storage: of the study.
        """
        self._storage = storage
        self.place = f"{storage.described}/{ANSWERS}"

    @property
    def torn(self) -> str | None:
        """A last line that a crash has cut short: nothing of it counts, and the next write removes it; else None."""
        return self._content().torn

    def read(self) -> list[Answer]:
        """All answers, in the order in which they were taken in.

        Raises:
            ResultsError: the log is damaged.
        """
        return list(self._content().answers)

    def question_sets(self) -> list[QuestionSet]:
        """All sets of questions, by number.

        Raises:
            ResultsError: the log is damaged.
        """
        return list(self._content().sets)

    def append(self, answers: Sequence[Answer]) -> int:
        """Keep answers; they are on disk when this returns, all of them or, if it raises or is killed, none.

        Answers that the log has already are left out, so that a file can be given twice.

        Returns:
            how many were new.

        Raises:
            ResultsError: a question was not asked by its set, the log is damaged or cannot be written.
        """
        with self._writing() as content:
            asked = {(one.number, question.pair) for one in content.sets for question in one.questions}
            for answer in answers:
                if (answer.set_number, answer.pair) not in asked:
                    raise ResultsError(
                        f"{self.place}: set {answer.set_number} has not asked about {answer.class_name} in "
                        f"{answer.image}; nothing was kept"
                    )
            known = set(content.answers)
            current = {(answer.by, answer.pair): answer.answer for answer in by_time(content.answers)}
            new = [
                answer
                for answer in dict.fromkeys(answers)
                if answer not in known and current.get((answer.by, answer.pair)) != answer.answer
            ]
            if new:
                self._write(content, {"answers": [answer.model_dump(mode="json") for answer in new]})
        return len(new)

    def add_set(self, asked: QuestionSet) -> None:
        """Keep a set of questions, whose number is the next one.

        Raises:
            ResultsError: another process has added a set of that number, the log is damaged or cannot be written.
        """
        with self._writing() as content:
            if asked.number != len(content.sets) + 1:
                raise ResultsError(
                    f"{self.place}: set {asked.number} was asked for, and {len(content.sets) + 1} is the next number; "
                    f"another command has asked at the same time: ask again"
                )
            self._write(content, {"asked": asked.model_dump(mode="json")})

    @contextmanager
    def _writing(self) -> Iterator[_Content]:
        folder = self._storage.folder
        try:
            with filelock.FileLock(folder.with_name(f".{folder.name}.answers.lock"), timeout=WAIT_S):
                yield self._content()
        except filelock.Timeout as error:
            raise ResultsError(
                f"{self.place}: another command is writing to it; try again when it has ended"
            ) from error
        except OSError as error:
            raise ResultsError(
                f"{self.place}: {error.strerror or error}; nothing was kept: free some space, then run again"
            ) from error

    def _write(self, content: _Content, entry: dict[str, Any]) -> None:
        # The number lets a reader notice a line that was removed.
        line = (json.dumps({"number": content.num_lines + 1, **entry}, ensure_ascii=False) + "\n").encode()
        if self._storage.remote is not None:
            self._storage.write(ANSWERS, content.whole + line)  # objects cannot be appended to, and are written whole
            return
        with (self._storage.folder / ANSWERS).open("ab", buffering=0) as file:
            file.truncate(len(content.whole))
            # On a nearly full disk, an unbuffered write may write only the beginning, without an error.
            if file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())

    def _content(self) -> _Content:
        content = self._storage.read(ANSWERS) or b""
        end = content.rfind(b"\n") + 1
        sets: list[QuestionSet] = []
        answers: list[Answer] = []
        lines = content[:end].splitlines()
        for number, line in enumerate(lines, start=1):
            where = f"{self.place}:{number}"
            entry = _entry(line, number, where)
            if "asked" in entry:
                sets.append(read_question_set(json.dumps(entry["asked"]), where=where))
            else:
                answers += [read_answer(json.dumps(one), where=where) for one in entry["answers"]]
        torn = content[end:].decode("utf-8", errors="replace") or None
        return _Content(sets=tuple(sets), answers=tuple(answers), num_lines=len(lines), whole=content[:end], torn=torn)


def by_time(answers: Sequence[Answer]) -> list[Answer]:
    """Answers by the time at which they were given, of equals in the order of the log."""
    return sorted(answers, key=lambda answer: _instant(answer.at))


def _instant(at: str) -> datetime:
    """A time that can be compared; without a time zone it is taken as UTC."""
    time = datetime.fromisoformat(at)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _entry(line: bytes, number: int, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        whole = entry["number"] == number and (isinstance(entry.get("answers"), list) or "asked" in entry)
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        got = repr(line[:60].decode(errors="replace"))
        raise ResultsError(
            f"{where}: expected line {number} of the log as it was written, got {got}; restore the file from a copy"
        )
    return entry  # type: ignore[no-any-return]
