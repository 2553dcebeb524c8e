"""The page that asks a person about (image, class) pairs: one HTML file that works offline and keeps the answers."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Mapping, Sequence
from importlib import resources

from PIL import Image

from wsml_study.record.answer_files import FORMAT
from wsml_study.record.questions import UNNAMED, Answer, Question, QuestionSet

COMMAND = "wsml-study answers STUDY {file}"
"""What takes the downloaded answers in; `{file}` is replaced by the file's name."""

ROUND = 25
"""Questions that are sorted by class among themselves: who stops after so many has answered the most useful ones."""

LARGEST_SIDE = 640
JPEG_QUALITY = 85
OFFLINE = "Answers stay in this browser, so you can close the page and go on later; download them at the end."
SERVED = "Every answer is kept as you give it, so you can close the page and go on later."


def asking_order(asked: QuestionSet) -> tuple[Question, ...]:
    """The order on the page: rounds of `ROUND` by usefulness, and within a round the questions of a class together.

    Staying with one class makes answers faster and surer; rounds keep an early stop from losing the useful ones.
    """
    ordered: list[Question] = []
    for start in range(0, len(asked.questions), ROUND):
        part = asked.questions[start : start + ROUND]
        classes = list(dict.fromkeys(question.class_name for question in part))
        if ordered and ordered[-1].class_name in classes:  # goes on with the class of the round before
            classes.sort(key=lambda name: name != ordered[-1].class_name)
        ordered += sorted(part, key=lambda question: classes.index(question.class_name))
    return tuple(ordered)


def page_picture(picture: Image.Image) -> bytes:
    """A picture as the page shows it: JPEG, its longer side at most `LARGEST_SIDE` pixels."""
    small = picture.convert("RGB")
    small.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return content.getvalue()


def question_page(
    asked: QuestionSet,
    pictures: Mapping[str, bytes],
    *,
    command: str = COMMAND,
    answers: Sequence[Answer] = (),
    reply_to: str | None = None,
) -> str:
    """The page as HTML; it makes no request, except that a served page sends its answers.

    Args:
        asked: the questions; their wording is the set's.
        pictures: JPEG of each image, as of `page_picture`, by the questions' names.
        command: what the last screen says to run, with `{file}` for the downloaded file.
        answers: that the study has already, of any set; those of this set are shown as given.
        reply_to: address that answers are sent to, on the page's own server; None for a file.

    Raises:
        ValueError: an image has no picture.
    """
    if absent := {question.image for question in asked.questions} - pictures.keys():
        raise ValueError(f"expected a picture of every image, got none of {', '.join(sorted(absent)[:3])}")
    files = resources.files("wsml_study.report.page")
    script = (files / "questions.js").read_text(encoding="utf-8")
    parts = {
        "policy": _policy(script, served=reply_to is not None),
        "title": html.escape(f"{asked.study}: questions"),
        "num": f"{len(asked.questions):,}",
        "keeping": SERVED if reply_to is not None else OFFLINE,
        "style": (files / "questions.css").read_text(encoding="utf-8"),
        "data": json.dumps(_data(asked, pictures, command, answers, reply_to)).replace("<", "\\u003c"),
        "script": script,
    }
    first, *others = (files / "questions.html").read_text(encoding="utf-8").split("@")
    # Every second part of the template, between two @, names what stands there.
    return first + "".join(parts[text] if index % 2 == 0 else text for index, text in enumerate(others))


def _policy(script: str, *, served: bool) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    connect = "; connect-src 'self'" if served else ""
    return f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:{connect}"


def _data(
    asked: QuestionSet, pictures: Mapping[str, bytes], command: str, answers: Sequence[Answer], reply_to: str | None
) -> dict[str, object]:
    order = asking_order(asked)
    place = {question.pair: index for index, question in enumerate(order)}
    known = {
        (answer.by, answer.pair): {
            "by": answer.by,
            "index": place[answer.pair],
            "reply": answer.answer,
            "at": answer.at,
        }
        for answer in answers
        if answer.set_number == asked.number and answer.pair in place
    }
    return {
        "format": FORMAT,
        "study": asked.study,
        "study_id": asked.study_id,
        "set_number": asked.number,
        "unnamed": UNNAMED,
        "command": command,
        "reply_to": reply_to,
        "known": list(known.values()),
        "questions": [_shown(asked, question) for question in order],
        "pictures": {name: _data_url(pictures[name]) for name in dict.fromkeys(one.image for one in order)},
    }


def _shown(asked: QuestionSet, question: Question) -> dict[str, str]:
    before, after = asked.around(question.class_name)
    return {"image": question.image, "class_name": question.class_name, "before": before, "after": after}


def _data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
