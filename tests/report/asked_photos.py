"""A small set of questions with made-up photos, for tests of the page that asks them."""

from __future__ import annotations

from PIL import Image

from wsml_study.record.questions import Question, QuestionSet
from wsml_study.report.question_page import page_picture

PAIRS = ((1, "dog"), (2, "<b>owl & co</b>"), (3, "dog"), (1, "</script>"), (2, "dog"))
ASKED = QuestionSet(
    study="birds",
    study_id="3f2a9c4e77aa",
    number=2,
    questions=tuple(Question(image=f"photos/{row}.jpg", class_name=name, row=row) for row, name in PAIRS),
)
PICTURES = {
    f"photos/{row}.jpg": page_picture(Image.new("RGB", (1000, 500 * row), (80 * row, 90, 120))) for row in (1, 2, 3)
}
