"""Questions for other tools: their files, answered as the tools do, come back as answers."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

from tests.report.asked_photos import ASKED, PICTURES
from wsml_study.record.answer_files import read_answers
from wsml_study.record.questions import Answer
from wsml_study.report.question_tasks import TaskForm, question_tasks

REPLIES = ("yes", "no", "unsure", "yes")


def read(folder: Path, content: bytes) -> list[Answer]:
    file = folder / "export"
    file.write_bytes(content)
    return read_answers(file, [ASKED])


def said(answers: list[Answer]) -> dict[tuple[str, str], str]:
    return {one.pair: one.answer for one in answers}


EXPECTED = {question.pair: reply for question, reply in zip(ASKED.questions, REPLIES, strict=False)}


def test_a_table_without_answers_is_no_answer_and_a_filled_one_is(tmp_path):
    (written,) = question_tasks(ASKED, {}, TaskForm.CSV).values()
    assert read(tmp_path, written) == []
    head, *rows = written.decode("utf-8-sig").splitlines()
    filled = [f"{row.removesuffix(',,')},{reply},Ann" for row, reply in zip(rows, [*REPLIES, ""], strict=True)]
    assert said(read(tmp_path, "\n".join([head, *filled, ""]).encode())) == EXPECTED


def test_label_studios_tasks_hold_the_photo_and_the_question_and_their_aliases_come_back(tmp_path):
    files = question_tasks(ASKED, PICTURES, TaskForm.LABEL_STUDIO)
    tasks = json.loads(files["tasks.json"])
    assert tasks[1]["data"]["question"] == "Is there a <b>owl & co</b>?"
    assert tasks[1]["data"]["image"].startswith("data:image/jpeg;base64,/9j/")
    choices = ElementTree.fromstring(files["labeling_config.xml"]).find("Choices")
    assert choices is not None
    aliases = [choice.get("alias") for choice in choices]
    assert aliases == ["yes", "no", "unsure"]
    for task, reply in zip(tasks, REPLIES, strict=False):
        result = {"from_name": choices.get("name"), "type": "choices", "value": {"choices": [reply]}}
        task["annotations"] = [{"completed_by": 1, "created_at": "2026-03-01T10:00:00Z", "result": [result]}]
    tasks[4]["annotations"] = []
    assert said(read(tmp_path, json.dumps(tasks).encode())) == EXPECTED


def test_cvats_task_asks_each_pair_by_an_open_tag(tmp_path):
    files = question_tasks(ASKED, PICTURES, TaskForm.CVAT)
    labels = json.loads(files["labels.json"])
    assert [label["name"] for label in labels] == ["dog", "<b>owl & co</b>", "</script>"]
    assert labels[0]["attributes"][0]["values"] == ["open", "yes", "no", "unsure"]
    with zipfile.ZipFile(io.BytesIO(files["images.zip"])) as archive:
        names = archive.namelist()
        assert Image.open(archive.open(names[1])).size == (640, 640)
    assert names == [f"set2-3f2a9c4e_0000{index}.jpg" for index in range(3)]
    assert read(tmp_path, files["annotations.xml"]) == []
    root = ElementTree.fromstring(files["annotations.xml"])
    assert [image.get("name") for image in root.iter("image")] == names
    image_of = dict(zip(names, ("photos/1.jpg", "photos/2.jpg", "photos/3.jpg"), strict=True))
    for image in root.iter("image"):
        for tag in image.iter("tag"):
            tag[0].text = EXPECTED.get((image_of[image.attrib["name"]], tag.attrib["label"]), "open")
    assert said(read(tmp_path, ElementTree.tostring(root))) == EXPECTED
