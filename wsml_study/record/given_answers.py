"""Answers as a file of any form gives them, and their check against the questions that were asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wsml_study.errors import ResultsError, printable
from wsml_study.record.questions import MOST_BY, UNNAMED, Answer, QuestionSet, Reply

WORDS: dict[str, Reply] = {
    "yes": "yes",
    "y": "yes",
    "no": "no",
    "n": "no",
    "unsure": "unsure",
    "u": "unsure",
    "cannot say": "unsure",
}
"""Spellings of answers, lower case."""

MOST_PROBLEMS = 10
MOST_SHOWN = 80


@dataclass(frozen=True, kw_only=True)
class Given:
    """An answer in a file.

    Attributes:
        place: in the file: a line's number or an entry's name.
        set_label: of the set that asked, as `QuestionSet.label`.
        image, class_name: of the question.
        reply: as text; nothing where the question is not answered.
        by: who said it; nothing where nobody says.
        at: when, ISO 8601.
    """

    place: str
    set_label: str
    image: str
    class_name: str
    reply: str
    by: str
    at: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong at a place of a file."""

    place: str
    text: str


def raise_problems(file: Path, problems: Sequence[Problem]) -> None:
    """Raise all problems of a file in one message; with none, return.

    Raises:
        ResultsError: there are problems.
    """
    if not problems:
        return
    lines = [printable(f"{file}:{problem.place}: {problem.text}") for problem in problems[:MOST_PROBLEMS]]
    more = [f"and {len(problems) - MOST_PROBLEMS:,} more"] if len(problems) > MOST_PROBLEMS else []
    raise ResultsError("\n".join([*lines, *more, "nothing was taken from this file"]))


def checked_answers(file: Path, given: Iterable[Given], asked: Sequence[QuestionSet]) -> list[Answer]:
    """The answers, if all of them belong to questions that were asked.

    Args:
        file: for messages.
        given: in the file's order; those without a reply are left out.
        asked: sets of the study.

    Raises:
        ResultsError: a set or pair was not asked, a word is no answer, or somebody answers a question twice.
    """
    sets = {one.label: one for one in asked}
    pairs = {one.label: {question.pair for question in one.questions} for one in asked}
    answers: dict[tuple[int, str, str, str], Answer] = {}
    places: dict[tuple[int, str, str, str], str] = {}
    problems = []
    for one in given:
        text = _complaint(one, pairs)
        if text is None and one.reply.strip():
            answer = _answer(one, sets[one.set_label])
            key = (answer.set_number, *answer.pair, answer.by)
            if key in places:
                first = f"line {places[key]}" if places[key].isdecimal() else places[key]
                text = f"{answer.by} answers the question of {first} again; leave one of the two"
            answers[key], places[key] = answer, one.place
        if text is not None:
            problems.append(Problem(place=one.place, text=text))
    raise_problems(file, problems)
    return list(answers.values())


def _answer(one: Given, asked_by: QuestionSet) -> Answer:
    return Answer(
        image=one.image,
        class_name=one.class_name,
        answer=WORDS[one.reply.strip().lower()],
        by=one.by.strip() or UNNAMED,
        at=one.at,
        set_number=asked_by.number,
    )


def _complaint(one: Given, pairs: dict[str, set[tuple[str, str]]]) -> str | None:
    if one.set_label not in pairs:
        return f"{unknown_set(one.set_label)}; this study has asked {', '.join(pairs) or 'nothing yet'}"
    if (one.image, one.class_name) not in pairs[one.set_label]:
        return (
            f"{one.set_label} has not asked about {shown(one.class_name)} in {shown(one.image)}; if a spreadsheet has "
            "changed names (to numbers or dates), import these columns as text"
        )
    if one.reply.strip() and one.reply.strip().lower() not in WORDS:
        return f"expected yes, no or unsure, or nothing, got {shown(one.reply)}"
    if len(one.by.strip()) > MOST_BY:
        return f"expected a name of at most {MOST_BY} characters, got {shown(one.by)}"
    try:
        datetime.fromisoformat(one.at)
    except ValueError:
        return f"expected a time such as 2026-03-01T10:00:00+00:00, got {shown(one.at)}"
    return None


def unknown_set(label: str) -> str:
    """What to say of a set that the study does not have."""
    return f"expected a set of questions of this study, got {shown(label)}: these are answers to another study"


def shown(text: str) -> str:
    """Text of a file in a message, quoted and not too long."""
    return repr(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}...")
