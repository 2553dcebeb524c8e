"""The log of questions and answers: what it keeps, and what a crash leaves."""

import os
import signal
import subprocess
import sys
import time

import pytest
from pyarrow.fs import LocalFileSystem

from wsml_study.errors import ResultsError
from wsml_study.record.agreed_answers import agreed
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.questions import Answer, Question, QuestionSet
from wsml_study.record.storage import RemoteFolder, StudyStorage

IMAGES = tuple(f"{number:03d}.jpg" for number in range(200))


def asked(number=1, images=IMAGES):
    questions = tuple(Question(image=image, class_name="dog", row=row) for row, image in enumerate(images))
    return QuestionSet(study="told", study_id="5e1f", number=number, questions=questions)


def said(image, answer, *, by="ann", minute=0, set_number=1):
    at = f"2026-01-01T00:{minute:02d}:00+00:00"
    return Answer(image=image, class_name="dog", answer=answer, by=by, at=at, set_number=set_number)


@pytest.fixture(params=["here", "there"])
def log(request, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    if request.param == "here":
        return AnswerLog(StudyStorage(folder=folder, remote=None))
    (tmp_path / "there").mkdir()
    remote = RemoteFolder(filesystem=LocalFileSystem(), path=str(tmp_path / "there"), uri="s3://there")
    return AnswerLog(StudyStorage(folder=folder, remote=remote))


def file_of(log):
    storage = log._storage
    return (storage.folder if storage.remote is None else storage.folder.parent / "there") / "answers.jsonl"


def test_what_is_appended_is_read_and_twice_the_same_counts_once(log):
    assert (log.read(), log.question_sets(), log.torn) == ([], [], None)
    log.add_set(asked())
    first, second = said("000.jpg", "yes"), said("001.jpg", "no")
    assert log.append([first, second]) == 2
    third = said("000.jpg", "no", minute=5)
    assert log.append([first, second, third]) == 1
    assert log.append([said("001.jpg", "no", minute=9)]) == 0, "the same file, saved again by a spreadsheet"
    assert log.read() == [first, second, third]
    assert log.question_sets() == [asked()]


def test_what_was_not_asked_and_a_set_out_of_turn_are_refused_and_nothing_is_kept(log):
    log.add_set(asked(images=IMAGES[:2]))
    with pytest.raises(ResultsError, match=r"set 1 has not asked about dog in 099\.jpg; nothing was kept"):
        log.append([said("000.jpg", "yes"), said("099.jpg", "yes")])
    assert log.read() == []
    with pytest.raises(ResultsError, match="2 is the next number"):
        log.add_set(asked(number=1))


def test_a_torn_last_line_is_told_counts_for_nothing_and_is_removed_by_the_next_write(log):
    log.add_set(asked())
    log.append([said("000.jpg", "yes")])
    path = file_of(log)
    path.write_bytes(path.read_bytes() + b'{"number": 3, "answ')
    assert log.torn == '{"number": 3, "answ'
    assert len(log.read()) == 1
    log.append([said("001.jpg", "yes")])
    assert (log.torn, len(log.read())) == (None, 2)


@pytest.mark.parametrize(
    "damage", [lambda lines: [lines[0], lines[2]], lambda lines: [lines[0], b"{}\n", lines[2]], lambda lines: lines[1:]]
)
def test_a_removed_or_changed_line_is_named(log, damage):
    log.add_set(asked())
    log.append([said("000.jpg", "yes")])
    log.append([said("001.jpg", "yes")])
    path = file_of(log)
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(ResultsError, match=r"answers\.jsonl:\d: expected line \d of the log as it was written"):
        log.read()


WRITER = """
import sys
from pathlib import Path
from tests.record.test_answer_log import IMAGES, AnswerLog, StudyStorage, said
log = AnswerLog(StudyStorage(folder=Path(sys.argv[1]), remote=None))
for start in range(0, 200, 4):
    log.append([said(image, "yes") for image in IMAGES[start : start + 4]])
    print(start + 4, flush=True)
"""


@pytest.mark.parametrize("num_lines", [1, 5, 12])
def test_answers_that_were_kept_survive_sigkill_and_none_are_half_taken(tmp_path, num_lines):
    log = AnswerLog(StudyStorage(folder=tmp_path, remote=None))
    log.add_set(asked())
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    kept = 0
    for _ in range(num_lines):
        kept = int(writer.stdout.readline())
    time.sleep(0.0007 * num_lines)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    found = [answer.image for answer in log.read()]
    assert found == list(IMAGES[: len(found)])
    assert len(found) % 4 == 0
    assert len(found) >= kept > 0
    log.append([said(IMAGES[-1], "no")])
    assert log.read()[-1] == said(IMAGES[-1], "no")


@pytest.mark.parametrize("cut", range(1, 160, 13))
def test_a_write_that_is_cut_at_any_byte_loses_that_write_alone(tmp_path, cut):
    log = AnswerLog(StudyStorage(folder=tmp_path, remote=None))
    log.add_set(asked())
    log.append([said("000.jpg", "yes")])
    path = tmp_path / "answers.jsonl"
    before = path.read_bytes()
    log.append([said("001.jpg", "yes"), said("002.jpg", "no")])
    path.write_bytes(path.read_bytes()[: len(before) + cut])
    assert log.read() == [said("000.jpg", "yes")]
    assert log.append([said("001.jpg", "yes"), said("002.jpg", "no")]) == 2
    assert len(log.read()) == 3


def test_of_one_person_the_latest_answer_counts_and_between_people_the_majority():
    found = agreed(
        [
            said("000.jpg", "no", minute=5),
            said("000.jpg", "yes", minute=1),
            said("001.jpg", "yes"),
            said("001.jpg", "no", by="bob"),
            said("002.jpg", "yes"),
            said("002.jpg", "no", by="bob"),
            said("002.jpg", "yes", by="eve"),
            said("003.jpg", "unsure"),
            said("003.jpg", "yes", by="bob"),
        ]
    )
    replies = {image: reply for (image, _), reply in found.replies.items()}
    assert replies == {"000.jpg": "no", "001.jpg": "unsure", "002.jpg": "yes", "003.jpg": "yes"}
    assert found.changed == (("000.jpg", "dog"),)
    assert found.disputed == (("001.jpg", "dog"), ("002.jpg", "dog"))
    assert (found.count("yes"), found.count("no"), found.count("unsure")) == (2, 1, 1)
