"""Sets of questions (`ask`, `audit`) on the live page: how far they are answered, and a page of their own."""

from __future__ import annotations

import threading
from typing import Any

from pydantic import TypeAdapter, ValidationError

from wsml_study.errors import ResultsError
from wsml_study.live.found_studies import STUDY_FILE, FoundStudy
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.questions import Answer, QuestionSet, first_complaint
from wsml_study.record.storage import ANSWERS
from wsml_study.report.audit_questions import AUDIT_KIND
from wsml_study.study.reading import read_study

MOST_SETS_KEPT = 4
"""Sets whose photos are kept in memory."""


class OpenQuestions:
    """The sets of questions of all studies."""

    def __init__(self) -> None:
        self._pictures: dict[tuple[str, int], dict[str, bytes]] = {}
        self._sets: dict[str, tuple[bytes | None, list[dict[str, Any]]]] = {}
        self._lock = threading.Lock()

    def sets_of(self, found: FoundStudy) -> list[dict[str, Any]]:
        """Number, kind, questions and answered questions of each set of a study; none where its log is damaged."""
        content = found.place.read(ANSWERS)
        known = self._sets.get(found.key)
        if known is None or known[0] != content:
            known = self._sets[found.key] = content, [] if content is None else _sets(found)
        return known[1]

    def page(self, found: FoundStudy, number: int, reply_to: str) -> str:
        """The page of a set, which keeps every answer as it is given.

        Raises:
            ResultsError: there is no such set.
            DataError: the photos are not where the study says.
        """
        from wsml_study.report.question_files import question_pictures
        from wsml_study.report.question_page import question_page

        log = AnswerLog(found.place)
        asked = _set_of(log, number)
        with self._lock:
            pictures = self._pictures.get((found.key, number))
            if pictures is None:
                data = read_study(found.place.folder / STUDY_FILE).data
                pictures = self._pictures[found.key, number] = question_pictures(data, asked)
                while len(self._pictures) > MOST_SETS_KEPT:
                    del self._pictures[next(iter(self._pictures))]
        return question_page(asked, pictures, answers=log.read(), reply_to=reply_to)

    def take(self, found: FoundStudy, number: int, content: bytes) -> int:
        """Keep answers, and return how many were given.

        Raises:
            ValueError: they are none, or answer other questions.
            ResultsError: they cannot be kept.
        """
        try:
            answers = TypeAdapter(list[Answer]).validate_json(content)
        except ValidationError as error:
            raise ValueError(f"these are no answers: {first_complaint(error)}") from error
        log = AnswerLog(found.place)
        pairs = {question.pair for question in _set_of(log, number).questions}
        for answer in answers:
            if answer.set_number != number or answer.pair not in pairs:
                raise ValueError(f"{answer.class_name} in {answer.image} was not asked by set {number}")
        log.append(answers)
        return len(answers)


def _set_of(log: AnswerLog, number: int) -> QuestionSet:
    sets = log.question_sets()
    if not 1 <= number <= len(sets):
        raise ResultsError(f"there is no set {number} of questions")
    return sets[number - 1]


def _sets(found: FoundStudy) -> list[dict[str, Any]]:
    log = AnswerLog(found.place)
    try:
        sets, answers = log.question_sets(), log.read()
    except ResultsError:
        return []  # `answers` says what is wrong with it
    answered = {(answer.set_number, answer.pair) for answer in answers}
    return [
        {
            "number": one.number,
            "kind": "audit" if one.kind == AUDIT_KIND else "ask",
            "total": len(one.questions),
            "answered": sum((one.number, question.pair) in answered for question in one.questions),
        }
        for one in sets
    ]
