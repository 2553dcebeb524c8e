"""A study with half-labelled validation images, the scores of its trials, and a person who can answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.sample_studies.stories import small_study, told_history
from wsml_study.data.validation_labels import LabelChoice
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.questions import Answer, Question, QuestionSet
from wsml_study.record.score_files import PartialLabels, write_partial_labels, write_scores
from wsml_study.record.storage import StudyStorage
from wsml_study.record.tables import write_tables
from wsml_study.study.writing import dump_config

NAMES = tuple(f"{row}.jpg" for row in range(40))
CAT, DOG = "cat", "dog"
SHOWS_CAT = np.arange(40) < 12
KNOWN = 3
"""Of the 12 images with a cat, those that are labelled so; the labels of the others are unknown."""


def half_labelled_study(folder: Path, *, labels: LabelChoice = "clean") -> StudyStorage:
    """A study in a new folder. Trial 1 leads by value; trial 0 finds all cats, trial 1 only those that are labelled."""
    folder.mkdir()
    study = small_study()
    validation = study.data.validation.model_copy(update={"labels": labels})
    study = study.model_copy(update={"data": study.data.model_copy(update={"validation": validation})})
    (folder / "study.yaml").write_text(dump_config(study))
    write_tables(folder, study, told_history(study))
    place = StudyStorage(folder=folder, remote=None)
    states_MC = np.zeros((40, 2), np.int8)
    states_MC[:KNOWN, 0] = 1
    states_MC[30:, 0], states_MC[:, 1] = -1, -1
    partial = PartialLabels(names=NAMES, classes=(CAT, DOG), states_MC=states_MC, images="ab")
    write_partial_labels(place, partial)
    noise_M = np.linspace(0, 0.5, 40)
    finds_all_M = np.where(SHOWS_CAT, 3.0, -3.0) - noise_M
    finds_known_M = np.where(np.arange(40) < KNOWN, 3.0, np.where(SHOWS_CAT, -3.5, -1.0)) - noise_M
    for trial, scores_M in ((0, finds_all_M), (1, finds_known_M)):
        logits_MC = np.stack([scores_M, -5 - noise_M], axis=1).astype(np.float16)
        write_scores(*place.scores(), trial, epoch=1, logits_MC=logits_MC, images="ab")
    return place


def questions(rows: range = range(KNOWN, 30), number: int = 1) -> QuestionSet:
    """Whether these images show a cat."""
    asked = tuple(Question(image=NAMES[row], class_name=CAT, row=row) for row in rows)
    return QuestionSet(study="told", study_id="5e1f", number=number, questions=asked)


def answer_all(storage: StudyStorage, rows: range = range(KNOWN, 30)) -> None:
    """Ann answers the questions about these rows, all rightly."""
    log = AnswerLog(storage)
    log.add_set(questions(rows))
    at = "2026-01-01T00:00:00+00:00"
    said = [
        Answer(
            image=NAMES[row], class_name=CAT, answer="yes" if SHOWS_CAT[row] else "no", by="ann", at=at, set_number=1
        )
        for row in rows
    ]
    log.append(said)
