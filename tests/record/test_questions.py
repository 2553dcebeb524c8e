"""Sets of questions and answers as JSON."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from wsml_study.errors import ResultsError
from wsml_study.record.questions import Answer, Question, QuestionSet, read_answer, read_question_set

SET = QuestionSet(
    study="birds",
    study_id="3f2a9c4e77aa",
    number=2,
    questions=(
        Question(image="photos/1.jpg", class_name="owl", row=4),
        Question(image="photos/1.jpg", class_name="gull", row=4),
    ),
)
ANSWER = Answer(
    image="photos/1.jpg", class_name="owl", answer="unsure", by="Ann", at="2026-03-01T10:00:00+00:00", set_number=2
)


def test_sets_and_answers_come_back_from_their_json():
    assert read_question_set(SET.json_text(), where="here") == SET
    assert read_answer(ANSWER.model_dump_json(), where="here") == ANSWER
    assert "\n" not in SET.json_text()


def test_a_damaged_one_is_refused_with_its_place():
    with pytest.raises(ResultsError, match=r"answers.jsonl:3: not a set of questions .*EOF"):
        read_question_set(SET.json_text()[:40], where="answers.jsonl:3")
    with pytest.raises(
        ResultsError, match=r"log:1: not an answer as it was written: answer: .*'yes', 'no' or 'unsure'"
    ):
        read_answer(ANSWER.model_dump_json().replace('"unsure"', '"maybe"'), where="log:1")
    with pytest.raises(ResultsError, match=r"at: .*Invalid isoformat"):
        read_answer(ANSWER.model_dump_json().replace("2026-03-01T10", "01.03.2026 10"), where="log:1")


def test_a_pair_is_asked_once_in_a_set():
    with pytest.raises(ValidationError, match="different pairs"):
        QuestionSet(study="birds", study_id="1", number=1, questions=(SET.questions[0], SET.questions[0]))


def test_the_wording_is_the_sets_own():
    assert SET.text("owl") == "Is there an owl?"
    assert SET.text("gull") == "Is there a gull?"
    assert SET.model_copy(update={"wording": "Does it show {class}?"}).text("owl") == "Does it show owl?"
    with pytest.raises(ValidationError, match=r"holds \{class\} once"):
        QuestionSet(study="birds", study_id="1", number=1, wording="Is it?", questions=())
