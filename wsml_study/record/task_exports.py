"""Answers in what Label Studio and CVAT export of the tasks that `ask` has written for them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from wsml_study.errors import ResultsError
from wsml_study.record.given_answers import Given, shown, unknown_set
from wsml_study.record.questions import UNNAMED, QuestionSet

ANSWER = "answer"
"""Name of the choice in Label Studio and of the tag's attribute in CVAT."""

OPEN = "open"
"""Value of a CVAT tag that nobody has answered yet."""

SET_KEY, IMAGE_KEY, CLASS_KEY = "set", "image_name", "class"
"""Keys of a Label Studio task's data."""

MEMBER = "annotations.xml"
LARGEST_MEMBER = 64 * 2**20
TASK_IMAGE = re.compile(r"(set\d+-[^/\\]*)_(\d{5})\.jpg")


def image_names(asked: QuestionSet) -> tuple[str, ...]:
    """The images of a set, in the order of their first question."""
    return tuple(dict.fromkeys(question.image for question in asked.questions))


def task_image(asked: QuestionSet, index: int) -> str:
    """File name of an image in a CVAT task, which keeps no folders: the set, and the index in `image_names`."""
    return f"{asked.label}_{index:05d}.jpg"


def label_studio_answers(file: Path, tasks: list[Any], *, at: str) -> list[Given]:
    """Answers in Label Studio's JSON export; a person's latest annotation of a task counts, skipped tasks do not.

    Args:
        file: for messages.
        tasks: content of the file.
        at: when it was answered, ISO 8601, where the export does not say.

    Raises:
        ResultsError: it is no export of such tasks.
    """
    if not tasks:
        raise ResultsError(f"{file}: expected tasks with annotations, got an empty list; nothing was taken")
    given: dict[tuple[int, str], Given] = {}
    for index, task in enumerate(tasks):
        place = f"task {index + 1}"
        try:
            data = task["data"]
            label, image, class_name = (str(data[key]) for key in (SET_KEY, IMAGE_KEY, CLASS_KEY))
            for by, time, reply in _annotations(task["annotations"]):
                key = (index, by)
                if key not in given or given[key].at <= (time or at):
                    given[key] = Given(
                        place=place,
                        set_label=label,
                        image=image,
                        class_name=class_name,
                        reply=reply,
                        by=by,
                        at=time or at,
                    )
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ResultsError(
                f"{file}:{place}: not a task that `ask` has written for Label Studio ({error!r}); export the project "
                "as `JSON`, not as `JSON-MIN` or CSV"
            ) from error
    return list(given.values())


def _annotations(annotations: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Who, when and what of each annotation that was submitted and holds an answer."""
    for one in annotations:
        choices = [result["value"]["choices"] for result in one["result"] if result["from_name"] == ANSWER]
        if choices and not one.get("was_cancelled"):
            by = one.get("completed_by")
            name = by.get("email") or by.get("id") if isinstance(by, dict) else by
            yield (
                UNNAMED if name is None else f"annotator {name}" if isinstance(name, int) else str(name),
                str(one.get("updated_at") or one.get("created_at") or ""),
                str(choices[0][0]),
            )


def unpacked(file: Path, content: bytes) -> bytes:
    """The annotations in a ZIP archive as CVAT exports it.

    Raises:
        ResultsError: it is another archive, such as an Excel file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.getinfo(MEMBER).file_size > LARGEST_MEMBER:
                raise ResultsError(f"{file}: {MEMBER} is larger than {LARGEST_MEMBER // 2**20} MiB")
            return archive.read(MEMBER)
    except (KeyError, zipfile.BadZipFile, OSError, RuntimeError) as error:  # RuntimeError: encrypted
        raise ResultsError(
            f"{file}: expected CVAT's export, a ZIP archive that holds {MEMBER}, got another or a damaged one; save an "
            "Excel file as `CSV UTF-8`"
        ) from error


def cvat_answers(file: Path, content: bytes, *, at: str, asked: Sequence[QuestionSet]) -> list[Given]:
    """Answers in CVAT's export `CVAT for images 1.1`.

    Args:
        file: for messages.
        content: XML.
        at: when it was answered, ISO 8601, where the export does not say.
        asked: sets of the study.

    Raises:
        ResultsError: it is no such export.
    """
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ResultsError(f"{file}: expected CVAT's export, got XML with a document type, which is not read")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        line = getattr(error, "position", (1, 0))[0]
        raise ResultsError(
            f"{file}:{line}: expected CVAT's export, got no complete XML ({error}); export it again"
        ) from error
    if root.tag != "annotations":
        raise ResultsError(f"{file}: expected CVAT's export `CVAT for images 1.1`, got XML of <{shown(root.tag)}>")
    by = _first(root, "meta//assignee/username", "meta//owner/username")
    time = _first(root, "meta/dumped") or at
    given = []
    for image in root.iter("image"):
        name = image.get("name", "")
        label, image_name = _image(file, name, asked)
        for tag in image.iter("tag"):
            reply = next((one.text or "" for one in tag.iter("attribute") if one.get("name") == ANSWER), "")
            given.append(
                Given(
                    place=f"image {name}",
                    set_label=label,
                    image=image_name,
                    class_name=tag.get("label", ""),
                    reply="" if reply == OPEN else reply,
                    by=by,
                    at=time,
                )
            )
    return given


def _first(root: ElementTree.Element, *paths: str) -> str:
    return next((text.strip() for path in paths if (text := root.findtext(path)) and text.strip()), "")


def _image(file: Path, name: str, asked: Sequence[QuestionSet]) -> tuple[str, str]:
    """Label of the set and name of the image, from the image's name in CVAT."""
    found = TASK_IMAGE.fullmatch(name.replace("\\", "/").rpartition("/")[2])
    if found is None:
        raise ResultsError(f"{file}: expected images that `ask` has written for CVAT, got {shown(name)}")
    label, index = found.group(1), int(found.group(2))
    names = next((image_names(one) for one in asked if one.label == label), None)
    if names is None or index >= len(names):
        raise ResultsError(f"{file}: image {shown(name)}: {unknown_set(label)}")
    return label, names[index]
