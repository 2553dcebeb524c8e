"""The questions of a study as a page or as files for other tools, with the photos that they are about."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

from wsml_study.data.dataset import GivenFeatures
from wsml_study.data.image_store import picture_opener
from wsml_study.errors import DataError, ResultsError
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.files import write_whole
from wsml_study.record.questions import Question, QuestionSet
from wsml_study.report.question_page import COMMAND, page_picture, question_page
from wsml_study.report.question_tasks import TaskForm, question_tasks
from wsml_study.report.study_dataset import dataset_of
from wsml_study.results.answered_runs import chosen_questions
from wsml_study.study.data_section import Data


def next_set(folder: Path, log: AnswerLog, *, name: str, num: int, again: bool) -> QuestionSet:
    """The questions to ask next; they are not in the log yet.

    Args:
        folder: of the study's results.
        log: of its questions and answers.
        name: of the study.
        num: of questions, at most.
        again: also ask what was asked and is still open.

    Raises:
        ResultsError: there is nothing to ask, or nothing to choose by.
    """
    sets = log.question_sets()
    known, pairs = chosen_questions(folder, sets, num=num, again=again)
    labels = known.labels
    return QuestionSet(
        study=name,
        study_id=sets[0].study_id if sets else uuid.uuid4().hex,
        number=len(sets) + 1,
        questions=tuple(Question(image=labels.names[row], class_name=labels.classes[c], row=row) for row, c in pairs),
    )


def question_pictures(data: Data, asked: QuestionSet) -> dict[str, bytes]:
    """JPEG of each image of a set, by its name, read as the dataset's own reader does.

    Raises:
        DataError: the data are not there, are features, or have no image of such a name.
    """
    dataset = dataset_of(data).decoded_with(data.pixel_range, data.interpolation)
    if isinstance(dataset.train.images, GivenFeatures):
        raise DataError(
            f"{data.dataset.value}: these are features, and have no photos to show; `--format csv` asks by name"
        )
    rows = {name: row for row, name in enumerate(dataset.train.names)}
    open_picture = picture_opener(dataset.train.images)
    pictures = {}
    for name in dict.fromkeys(question.image for question in asked.questions):
        if name not in rows:
            raise DataError(
                f"{dataset.name}: no image is called {name}, which is to be asked about; give the folder of the data "
                f"that the study was run on with --data-root"
            )
        with open_picture(rows[name]) as picture:
            pictures[name] = page_picture(picture)
    return pictures


def refuse_existing(output: Path) -> None:
    """Refuse to write over anything.

    Raises:
        ResultsError: there is such a file, or a folder that is not empty.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise ResultsError(f"{output} exists; name another with --output, or move it")


def write_questions(
    asked: QuestionSet, pictures: Mapping[str, bytes], output: Path, form: TaskForm | None, *, study_argument: str
) -> list[Path]:
    """Write the page, or the files of another tool: a table as the file itself, others into a folder.

    Returns:
        What was written.

    Raises:
        ResultsError: it cannot be written.
    """
    if form is None:
        command = COMMAND.replace("STUDY", study_argument)
        write_whole(output, question_page(asked, pictures, command=command).encode())
        return [output]
    files = question_tasks(asked, pictures, form)
    paths = [output] if form is TaskForm.CSV else [output / name for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        write_whole(path, content)
    return paths
