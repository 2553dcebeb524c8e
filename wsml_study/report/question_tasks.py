"""Questions as files for other tools: CSV, tasks for Label Studio, a task for CVAT."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from enum import StrEnum
from typing import get_args
from xml.etree import ElementTree

from PIL import Image

from wsml_study.record.answer_table import question_table
from wsml_study.record.questions import QuestionSet, Reply
from wsml_study.record.task_exports import ANSWER, CLASS_KEY, IMAGE_KEY, OPEN, SET_KEY, image_names, task_image

# The choices stand above the photo: below a tall one they would be out of sight.
LABEL_STUDIO_CONFIG = f"""<View>
  <Header value="$question"/>
  <Choices name="{ANSWER}" toName="image" choice="single" showInline="true" required="true">
    <Choice value="Yes" alias="yes" hotkey="y"/>
    <Choice value="No" alias="no" hotkey="n"/>
    <Choice value="Cannot say" alias="unsure" hotkey="u"/>
  </Choices>
  <Image name="image" value="$image" zoom="true"/>
</View>
"""

LONG_AGO = (2000, 1, 1, 0, 0, 0)
"""Time of a ZIP archive's members, so that the same questions give the same bytes."""


class TaskForm(StrEnum):
    """Which tool the questions are for."""

    CSV = "csv"
    LABEL_STUDIO = "label-studio"
    CVAT = "cvat"


def question_tasks(asked: QuestionSet, pictures: Mapping[str, bytes], form: TaskForm) -> dict[str, bytes]:
    """Names and content of the files; `record/answer_files.py:read_answers` reads what the tools export.

    Args:
        asked: the questions.
        pictures: JPEG of each image, by the questions' names; CSV needs none.
        form: of the files.

    Returns:
        `questions.csv`; or `tasks.json`, with the photos in it, and `labeling_config.xml` for Label Studio; or
        `labels.json`, `images.zip` and `annotations.xml` for CVAT, where each question is a tag whose attribute
        `answer` is open.
    """
    match form:
        case TaskForm.CSV:
            return {"questions.csv": question_table(asked)}
        case TaskForm.LABEL_STUDIO:
            return {"tasks.json": _label_studio(asked, pictures), "labeling_config.xml": LABEL_STUDIO_CONFIG.encode()}
        case TaskForm.CVAT:
            return {
                "labels.json": _cvat_labels(asked),
                "images.zip": _cvat_images(asked, pictures),
                "annotations.xml": _cvat_tags(asked, pictures),
            }


def _label_studio(asked: QuestionSet, pictures: Mapping[str, bytes]) -> bytes:
    tasks = [
        {
            "data": {
                "image": f"data:image/jpeg;base64,{base64.b64encode(pictures[question.image]).decode()}",
                "question": asked.text(question.class_name),
                SET_KEY: asked.label,
                IMAGE_KEY: question.image,
                CLASS_KEY: question.class_name,
            }
        }
        for question in asked.questions
    ]
    return json.dumps(tasks, indent=1).encode()


def _cvat_labels(asked: QuestionSet) -> bytes:
    answer = {
        "name": ANSWER,
        "mutable": False,
        "input_type": "select",
        "default_value": OPEN,
        "values": [OPEN, *get_args(Reply)],
    }
    names = dict.fromkeys(question.class_name for question in asked.questions)
    return json.dumps([{"name": name, "type": "tag", "attributes": [answer]} for name in names], indent=1).encode()


def _cvat_images(asked: QuestionSet, pictures: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for index, name in enumerate(image_names(asked)):
            archive.writestr(zipfile.ZipInfo(task_image(asked, index), LONG_AGO), pictures[name])
    return content.getvalue()


def _cvat_tags(asked: QuestionSet, pictures: Mapping[str, bytes]) -> bytes:
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    for index, name in enumerate(image_names(asked)):
        width, height = Image.open(io.BytesIO(pictures[name])).size
        size = {"width": str(width), "height": str(height)}
        image = ElementTree.SubElement(root, "image", {"id": str(index), "name": task_image(asked, index), **size})
        for question in asked.questions:
            if question.image == name:
                tag = ElementTree.SubElement(image, "tag", {"label": question.class_name, "source": "manual"})
                ElementTree.SubElement(tag, "attribute", {"name": ANSWER}).text = OPEN
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content
