"""The page of questions as a file: order, pictures, and what is written into it."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from tests.report.asked_photos import ASKED, PICTURES
from wsml_study.record.questions import Answer, Question, QuestionSet
from wsml_study.report.question_page import ROUND, asking_order, page_picture, question_page


def questions(names: str) -> QuestionSet:
    asked = tuple(Question(image=f"{row}.jpg", class_name=name, row=row) for row, name in enumerate(names))
    return ASKED.model_copy(update={"questions": asked})


def test_questions_of_a_class_come_together_within_rounds_by_usefulness():
    assert "".join(one.class_name for one in asking_order(questions("bacab"))) == "bbaac"
    two_rounds = "ab" * 12 + "a" + "cb"
    assert ROUND == 25
    order = asking_order(questions(two_rounds))
    assert "".join(one.class_name for one in order) == "a" * 13 + "b" * 12 + "bc"
    assert [one.row for one in order[:13]] == list(range(0, 25, 2))


def test_a_picture_is_a_jpeg_of_at_most_640_pixels():
    picture = Image.open(io.BytesIO(page_picture(Image.new("RGBA", (2000, 1000)))))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (640, 320))
    assert Image.open(io.BytesIO(page_picture(Image.new("L", (30, 20))))).size == (30, 20)


def test_each_photo_is_in_the_page_once_and_names_cannot_end_its_script():
    page = question_page(ASKED, PICTURES)
    assert page.count("data:image/jpeg;base64,") == 3
    assert page.count("</script>") == 2
    assert "default-src 'none'; script-src 'sha256-" in page
    assert "connect-src" not in page
    assert not re.search(r"@\w+@", page)


def test_only_a_served_page_may_connect_and_it_holds_what_is_known():
    known = Answer(
        image="photos/1.jpg", class_name="dog", answer="no", by="Bo", at="2026-03-01T10:00:00+00:00", set_number=2
    )
    page = question_page(ASKED, PICTURES, reply_to="/x/answers", answers=[known])
    assert "connect-src 'self'" in page
    assert '"known": [{"by": "Bo", "index": 0, "reply": "no"' in page
    assert '"known": []' in question_page(ASKED, PICTURES, answers=[known.model_copy(update={"set_number": 1})])


def test_an_image_without_a_picture_is_refused():
    with pytest.raises(ValueError, match=r"a picture of every image, got none of photos/3\.jpg"):
        question_page(ASKED, {name: PICTURES[name] for name in list(PICTURES)[:2]})
