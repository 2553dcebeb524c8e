"""The questions of an audit: is the class in the photo? Yes and no both settle a doubtful label."""

from __future__ import annotations

import uuid

import pyarrow as pa

from wsml_study.errors import ResultsError
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.questions import Answer, Question, QuestionSet

AUDIT_KIND = "audit"
"""Kind of a set that asks about training images."""


def audit_set(rows: pa.Table, log: AnswerLog, *, name: str, num: int) -> QuestionSet:
    """The most doubtful labels that no set has asked about yet, as a set that is not in the log yet.

    Args:
        rows: of the audit, the most doubtful first.
        log: of the study's questions and answers.
        name: of the study.
        num: of questions, at most.

    Raises:
        ResultsError: there is nothing left to ask.
    """
    sets = log.question_sets()
    asked = {question.pair for one in sets if one.kind == AUDIT_KIND for question in one.questions}
    chosen: list[Question] = []
    for image, class_name, row in zip(*(rows[column].to_pylist() for column in ("image", "class", "row")), strict=True):
        if len(chosen) == num:
            break
        if (image, class_name) not in asked:
            chosen.append(Question(image=image, class_name=class_name, row=row))
    if not chosen:
        raise ResultsError("nothing is left to ask: every doubtful label was asked about")
    return QuestionSet(
        study=name,
        study_id=sets[0].study_id if sets else uuid.uuid4().hex,
        number=len(sets) + 1,
        kind=AUDIT_KIND,
        questions=tuple(chosen),
    )


def audit_answers(log: AnswerLog) -> list[Answer]:
    """All answers about training images."""
    numbers = {one.number for one in log.question_sets() if one.kind == AUDIT_KIND}
    return [answer for answer in log.read() if answer.set_number in numbers]
