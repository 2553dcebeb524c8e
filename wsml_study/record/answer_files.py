"""Files of answers: what the page of questions downloads, an edited CSV, exports of Label Studio and CVAT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from wsml_study.description import Description, PositiveInt
from wsml_study.errors import ResultsError
from wsml_study.record.answer_table import table_answers
from wsml_study.record.given_answers import Given, checked_answers, shown
from wsml_study.record.questions import Answer, QuestionSet, first_complaint
from wsml_study.record.task_exports import cvat_answers, label_studio_answers, unpacked

FORMAT: Final = "wsml-study answers"
AGAIN = "download it again from the page"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class AnswerFile(Description):
    """What the page of questions downloads.

    Attributes:
        format, version: of this file.
        study, study_id, set_number: of the set that asked.
        num_answers: how many there are.
        answers: of everybody who has answered on that page.
    """

    format: Literal["wsml-study answers"] = FORMAT
    version: Literal[1] = 1
    study: str
    study_id: str
    set_number: PositiveInt
    num_answers: int
    answers: tuple[Answer, ...]


def read_answers(path: Path, asked: Sequence[QuestionSet]) -> list[Answer]:
    """The answers in a file; all or none.

    A table's answers have the time at which the file was last changed; exports have their own.

    Args:
        path: JSON of the page or of Label Studio, CSV, or CVAT's XML, also in its ZIP archive; told by its content.
        asked: sets of the study.

    Raises:
        ResultsError: the file is cut off or damaged, belongs to another study, has a question that was not asked, one
            person's answer to a question twice, or a word that is no answer. The message names the lines.
    """
    try:
        content = path.read_bytes()
        at = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror or error}") from error
    return checked_answers(path, _given(path, content, at, asked), asked)


def _given(path: Path, content: bytes, at: str, asked: Sequence[QuestionSet]) -> list[Given]:
    start = content[:1000].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise ResultsError(f"{path}: the file is empty")
    if start.startswith((b"{", b"[")):
        return _json_answers(path, content, at, asked)
    if content.startswith(UTF_16_MARKS) and content[2:20].replace(b"\0", b"").lstrip().startswith((b"{", b"[")):
        raise ResultsError(f"{path}: expected JSON in UTF-8, got UTF-16; {AGAIN}, or save it as UTF-8")
    if b"<html" in start.lower():
        raise ResultsError(f"{path}: this is the page of questions; give the file that its download button saves")
    if start.startswith(b"PK"):
        return cvat_answers(path, unpacked(path, content), at=at, asked=asked)
    if start.startswith(b"<"):
        return cvat_answers(path, content, at=at, asked=asked)
    return table_answers(path, content, at=at, asked=asked)


def _json_answers(path: Path, content: bytes, at: str, asked: Sequence[QuestionSet]) -> list[Given]:
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise ResultsError(f"{path}:{line}: not complete JSON ({error}): the file may be cut off; {AGAIN}") from error
    if isinstance(found, list):
        return label_studio_answers(path, found, at=at)
    return _page_answers(path, found, asked)


def _page_answers(path: Path, content: dict[str, Any], asked: Sequence[QuestionSet]) -> list[Given]:
    if content.get("format") != FORMAT:
        raise ResultsError(
            f"{path}: expected answers that the page has saved, with `format` {FORMAT!r}, got "
            f"{shown(str(content.get('format')))}"
        )
    try:
        answers = AnswerFile.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise ResultsError(
            f"{path}: not as the page has saved it: {first_complaint(error)}; nothing was taken from this file; {AGAIN}"
        ) from error
    if len(answers.answers) != answers.num_answers:
        raise ResultsError(
            f"{path}: expected {answers.num_answers:,} answers, as the file says, got {len(answers.answers):,}; {AGAIN}"
        )
    label = _asking_set(path, answers, asked)
    return [
        Given(
            place=f"answer {index}",
            set_label=label if answer.set_number == answers.set_number else f"set{answer.set_number}",
            image=answer.image,
            class_name=answer.class_name,
            reply=answer.answer,
            by=answer.by,
            at=answer.at,
        )
        for index, answer in enumerate(answers.answers, start=1)
    ]


def _asking_set(path: Path, answers: AnswerFile, asked: Sequence[QuestionSet]) -> str:
    for one in asked:
        if (one.study_id, one.number) == (answers.study_id, answers.set_number):
            return one.label
    ours = sorted({one.study_id for one in asked})
    if answers.study_id not in ours:
        raise ResultsError(
            f"{path}: these are answers to study {shown(answers.study)} ({answers.study_id}), expected this one "
            f"({', '.join(ours) or 'it has asked nothing yet'}); give them to the study that has asked"
        )
    numbers = ", ".join(str(one.number) for one in asked)
    raise ResultsError(f"{path}: these answer set {answers.set_number}; this study has asked the sets {numbers}")
