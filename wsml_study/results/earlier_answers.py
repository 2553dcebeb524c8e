"""Answers that people gave to an earlier study, for one on the same photos: nobody is asked the same thing twice."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from wsml_study.errors import ResultsError
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.questions import Answer, Question, QuestionSet
from wsml_study.record.score_files import read_partial_labels


@dataclass(frozen=True, kw_only=True)
class EarlierAnswers:
    """Answers to an earlier study that say something new about this study's validation images.

    Attributes:
        asked: the questions that they answer, as a set of this study; it is not in the log yet.
        answers: to that set, each with the person and the time of the original.
        num_elsewhere: answers that are left out, because the image is not among the validation images here, the class
            is not known here, or the label is given or asked about here already.
    """

    asked: QuestionSet
    answers: tuple[Answer, ...]
    num_elsewhere: int


def earlier_answers(folder: Path, log: AnswerLog, earlier: AnswerLog, *, name: str) -> EarlierAnswers:
    """The answers of an earlier study that count here.

    A pair of image and class is the same in both studies if both names are; the photos must be the same.

    Args:
        folder: of this study's results.
        log: of its questions and answers.
        earlier: that of the earlier study.
        name: of this study.

    Raises:
        ResultsError: the earlier study has no answers, none of them counts here, or this study's validation labels are
            complete.
    """
    labels, given = read_partial_labels(folder), earlier.read()
    if labels is None:
        raise ResultsError(f"{folder}: no validation label of this study is unknown, so it takes no answers")
    if not given:
        raise ResultsError(f"{earlier.place}: nobody has answered there yet")
    sets = log.question_sets()
    asked = {question.pair for one in sets for question in one.questions}
    rows = {image: row for row, image in enumerate(labels.names)}
    columns = {class_name: column for column, class_name in enumerate(labels.classes)}
    new = [
        answer
        for answer in given
        if answer.image in rows
        and answer.class_name in columns
        and labels.states_MC[rows[answer.image], columns[answer.class_name]] == 0
        and answer.pair not in asked
    ]
    if not new:
        raise ResultsError(
            f"{earlier.place}: none of its {len(given):,} answers is about a label that is unknown here: other photos "
            f"are held out for validation, or it is known or asked about already"
        )
    number = len(sets) + 1
    return EarlierAnswers(
        asked=QuestionSet(
            study=name,
            study_id=sets[0].study_id if sets else uuid.uuid4().hex,
            number=number,
            questions=tuple(
                Question(image=image, class_name=class_name, row=rows[image])
                for image, class_name in dict.fromkeys(answer.pair for answer in new)
            ),
        ),
        answers=tuple(answer.model_copy(update={"set_number": number}) for answer in new),
        num_elsewhere=len(given) - len(new),
    )
