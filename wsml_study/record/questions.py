"""Questions about (image, class) pairs that a person is asked, and the answers: one set of questions is one file."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from wsml_study.description import Description, PositiveInt
from wsml_study.errors import ResultsError

Reply = Literal["yes", "no", "unsure"]
"""What a person answers; `unsure` is "cannot say"."""

UNNAMED = "unnamed"
"""Who has answered, where nobody said."""

VALIDATION = "validation"
"""Kind of a set that asks about validation images."""

WORDING = "Is there {a} {class}?"
"""How a set asks by default: `{class}` is the name of the class, `{a}` the article before it."""

MOST_BY = 200
VOWELS = tuple("aeiou")


def _time(text: str) -> str:
    datetime.fromisoformat(text)  # a ValueError becomes pydantic's complaint
    return text


def _asks(wording: str) -> str:
    if wording.count("{class}") != 1:
        raise ValueError(f"expected a wording that holds {{class}} once, got {wording!r}")
    return wording


Text = Annotated[str, Field(min_length=1)]
IsoTime = Annotated[str, AfterValidator(_time)]


class Question(Description):
    """Whether an image shows a class.

    Attributes:
        image: the path that the labels file names it by, relative to the dataset's root.
        class_name: as the dataset names it.
        row: index of the image in its split, such as the validation images.
    """

    image: Text
    class_name: Text
    row: Annotated[int, Field(ge=0)]

    @property
    def pair(self) -> tuple[str, str]:
        """Image and class, which identify the question within a study."""
        return self.image, self.class_name


class Answer(Description):
    """What one person said about one pair.

    Attributes:
        image, class_name: of the question.
        answer: what was said.
        by: who said it.
        at: when, ISO 8601.
        set_number: of the set that asked.
    """

    image: Text
    class_name: Text
    answer: Reply
    by: Annotated[str, Field(min_length=1, max_length=MOST_BY)]
    at: IsoTime
    set_number: PositiveInt

    @property
    def pair(self) -> tuple[str, str]:
        """Image and class, which identify the question within a study."""
        return self.image, self.class_name


class QuestionSet(Description):
    """Questions that are asked together.

    Attributes:
        version: of this format.
        study: name of the study.
        study_id: identity of the study's folder, by which answers of another study are recognized.
        number: of the set within the study, from 1; sets of all kinds are counted together.
        kind: what the answers are for.
        wording: how it asks, with `{class}` and, before it, `{a}` for the article.
        questions: different pairs, most useful first.
    """

    version: Literal[1] = 1
    study: Text
    study_id: Text
    number: PositiveInt
    kind: Annotated[str, Field(pattern="^[a-z]+$")] = VALIDATION
    wording: Annotated[str, AfterValidator(_asks)] = WORDING
    questions: tuple[Question, ...]

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len({question.pair for question in self.questions}) < len(self.questions):
            raise ValueError("expected questions about different pairs of image and class")
        return self

    @property
    def label(self) -> str:
        """Text that names the set in files that others edit; it begins with a letter, so spreadsheets keep it."""
        return f"set{self.number}-{self.study_id[:8]}"

    def around(self, class_name: str) -> tuple[str, str]:
        """The question's words before and after the name of the class, for pages that emphasize it.

        >>> QuestionSet(study="s", study_id="1", number=1, questions=()).around("owl")
        ('Is there an ', '?')
        """
        before, after = self.wording.split("{class}")
        return before.replace("{a}", "an" if class_name.lower().startswith(VOWELS) else "a"), after

    def text(self, class_name: str) -> str:
        """The question about a class."""
        return class_name.join(self.around(class_name))

    def json_text(self) -> str:
        """As JSON, in one line; `read_question_set` reads it."""
        return self.model_dump_json()


def read_question_set(text: str | bytes, *, where: str) -> QuestionSet:
    """A set from its JSON.

    Args:
        text: JSON as of `QuestionSet.json_text`.
        where: file, and line if it has several, for the message.

    Raises:
        ResultsError: it is damaged.
    """
    try:
        return QuestionSet.model_validate_json(text)
    except ValidationError as error:
        raise ResultsError(f"{where}: not a set of questions as it was written: {first_complaint(error)}") from error


def read_answer(text: str | bytes, *, where: str) -> Answer:
    """An answer from its JSON, as of `Answer.model_dump_json`.

    Args:
        text: of one answer.
        where: file, and line if it has several, for the message.

    Raises:
        ResultsError: it is damaged.
    """
    try:
        return Answer.model_validate_json(text)
    except ValidationError as error:
        raise ResultsError(f"{where}: not an answer as it was written: {first_complaint(error)}") from error


def first_complaint(error: ValidationError) -> str:
    """The first of pydantic's complaints, with its place, and how many more there are."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    others = f" (and {error.error_count() - 1:,} more)" if error.error_count() > 1 else ""
    return f"{place + ': ' if place else ''}{first['msg'][:200]}{others}"
