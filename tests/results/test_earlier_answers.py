"""Answers of an earlier study count for the next one on the same photos."""

import shutil

import pytest
from typer.testing import CliRunner

from tests.sample_studies.half_labelled import CAT, KNOWN, NAMES, SHOWS_CAT, answer_all, half_labelled_study
from wsml_study.cli.entry import app
from wsml_study.errors import ResultsError
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.questions import Question, QuestionSet
from wsml_study.record.score_files import read_partial_labels, write_partial_labels
from wsml_study.record.storage import EVENTS, StudyStorage
from wsml_study.results.answered_runs import read_answered
from wsml_study.results.comparison import compare_studies
from wsml_study.results.earlier_answers import earlier_answers


@pytest.fixture
def storage(tmp_path):
    return half_labelled_study(tmp_path / "told")


@pytest.fixture
def later(storage, tmp_path):
    """A copy of the study before anybody answered, which knows one more label and lacks one image."""
    folder = tmp_path / "later"
    shutil.copytree(storage.folder, folder)
    place = StudyStorage(folder=folder, remote=None)
    labels = read_partial_labels(folder)
    states_MC = labels.states_MC.copy()
    states_MC[KNOWN, 0] = 1
    names = tuple("elsewhere.jpg" if name == NAMES[KNOWN + 1] else name for name in labels.names)
    write_partial_labels(place, type(labels)(names=names, classes=labels.classes, states_MC=states_MC, images="ab"))
    answer_all(storage)
    return place


def test_answers_about_labels_that_are_unknown_here_are_taken_with_who_gave_them(storage, later):
    found = earlier_answers(later.folder, AnswerLog(later), AnswerLog(storage), name="later")
    rows = [row for row in range(KNOWN, 30) if row not in (KNOWN, KNOWN + 1)]
    assert [answer.pair for answer in found.answers] == [(NAMES[row], CAT) for row in rows]
    assert [answer.answer for answer in found.answers] == ["yes" if SHOWS_CAT[row] else "no" for row in rows]
    assert {answer.by for answer in found.answers} == {"ann"}
    assert found.num_elsewhere == 2
    assert found.asked.number == 1


def test_the_command_takes_them_over_once_and_they_rank(storage, later):
    command = ["answers", str(later.folder), "--from", str(storage.folder)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "25 answers (7 yes, 18 no, 0 cannot say) taken over; 2 more are not about unknown labels here" in done.output
    assert read_answered(later.folder).best == (0, 1)
    with pytest.raises(ResultsError, match="none of its 27 answers is about a label that is unknown here"):
        CliRunner().invoke(app, command, catch_exceptions=False)


def test_what_is_asked_here_already_is_not_taken(storage, later):
    asked = QuestionSet(
        study="later",
        study_id="77",
        number=1,
        questions=tuple(Question(image=NAMES[row], class_name=CAT, row=row) for row in range(10, 30)),
    )
    AnswerLog(later).add_set(asked)
    found = earlier_answers(later.folder, AnswerLog(later), AnswerLog(storage), name="later")
    assert len(found.answers) == 5
    assert found.asked.number == 2
    assert found.asked.study_id == "77"


def test_an_earlier_study_without_answers_is_refused(storage, later, tmp_path):
    empty = StudyStorage(folder=tmp_path / "empty", remote=None)
    with pytest.raises(ResultsError, match="nobody has answered there yet"):
        earlier_answers(later.folder, AnswerLog(later), AnswerLog(empty), name="later")


def test_studies_are_compared_by_their_answers(storage, later):
    for place in (storage, later):
        (place.folder / EVENTS).write_text('{"event": "run", "time": 1.0, "classes": ["cat"]}\n')
    lines = compare_studies([storage.folder, later.folder]).lines()
    method, estimate = lines[1].split()[:2]
    assert method == "AN"
    assert float(estimate) == pytest.approx(100, abs=0.5)
    assert "told: mAP is estimated over unobserved labels" in lines
    assert "the trials of told alone are ranked by an estimate over unobserved labels" in lines[-1]
