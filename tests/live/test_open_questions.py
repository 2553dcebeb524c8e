"""Questions that a study has asked, answered on the live page: as `ask --serve` keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.browser import opened
from tests.live.served import served, wait_until
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.questions import Question, QuestionSet
from wsml_study.record.storage import StudyStorage
from wsml_study.report.audit_questions import AUDIT_KIND
from wsml_study.report.study_dataset import dataset_of
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.writing import dump_config

NAMES = ("a.png", "b.png", "c.png", "d.png")


@pytest.fixture
def log(tmp_path: Path) -> AnswerLog:
    """Of a study on photos that has asked two sets of questions."""
    photos, folder = tmp_path / "photos", tmp_path / "results" / "photos"
    photos.mkdir()
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        Image.new("RGB", (40, 30), (60 * number, 90, 120)).save(photos / name)
    (photos / "labels.csv").write_text("image,dog\n" + "".join(f"{name},1\n" for name in NAMES))
    labels = {"file": str(photos / "labels.csv"), "test_fraction": 0.5}
    data = {"dataset": "table", "root": str(photos), "image_size": 16, "labels": labels}
    (folder / "study.yaml").write_text(
        dump_config(parse_study({"name": "photos", "data": data, "method": {"name": "AN"}}, source=""))
    )
    log = AnswerLog(StudyStorage(folder=folder, remote=None))
    names = dataset_of(read_study(folder / "study.yaml").data).train.names
    for number, kind in ((1, "validation"), (2, AUDIT_KIND)):
        questions = tuple(Question(image=name, class_name="dog", row=row) for row, name in enumerate(names))
        log.add_set(QuestionSet(study="photos", study_id="0123", number=number, questions=questions, kind=kind))
    return log


def test_sets_of_questions_are_listed_with_how_far_they_are_answered(log: AnswerLog, tmp_path: Path) -> None:
    with served(tmp_path / "results") as page:
        key = page.key("photos")
        path = f"study/{key}/questions/1"
        answer = {"image": log.question_sets()[0].questions[0].image, "class_name": "dog", "answer": "yes", "by": "Ann"}
        answer |= {"at": "2026-03-01T10:00:00Z", "set_number": 1}
        assert page.post(f"{path}/answers", [answer]) == (200, '{"kept":1}')
        assert page.get(f"api/study/{key}")["questions"] == [
            {"number": 1, "kind": "ask", "total": 2, "answered": 1},
            {"number": 2, "kind": "audit", "total": 2, "answered": 0},
        ]
        assert page.post(f"{path}/answers", [answer | {"set_number": 2}])[0] == 400
        assert page.post(f"{path}/answers", [answer | {"image": "/etc/passwd"}])[0] == 400
        assert page.post(f"study/{key}/questions/3/answers", [answer])[0] == 409
        assert page.ask("GET", f"{page.path}study/{key}/questions/3")[0].status == 409
        assert len(log.read()) == 1


@pytest.mark.slow
def test_the_page_of_a_set_keeps_answers_as_they_are_given(log: AnswerLog, tmp_path: Path) -> None:
    with served(tmp_path / "results") as it, opened(f"{it.address}study/{it.key('photos')}", width=390) as page:
        page.wait_until("document.querySelector('[data-id=questions-2]') !== null")
        assert (
            page.evaluate("document.querySelector('[data-id=questions-2]').textContent") == "Audit 2: 0 of 2 answered"
        )
        page.evaluate("document.querySelector('[data-id=questions-2]').click()")
        page.wait_until("document.querySelector('#start:not([hidden])') !== null")
        page.evaluate("document.querySelector('#who button').click()")
        page.wait_until("document.querySelector('#asking:not([hidden])') !== null")
        page.evaluate("document.querySelector('#yes').click()")
        wait_until(lambda: bool(log.read()))
        assert page.complaints == []
        assert all(url.startswith((it.address, "data:")) for url in page.requests)
    assert [(answer.set_number, answer.answer) for answer in log.read()] == [(2, "yes")]
