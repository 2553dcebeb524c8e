"""Answers in a CSV file, as it was written or saved again by a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from wsml_study.errors import ResultsError
from wsml_study.record.formats import csv_text
from wsml_study.record.given_answers import Given, Problem, raise_problems, shown
from wsml_study.record.questions import QuestionSet

COLUMNS = ("set", "image", "class", "answer", "by")
SEPARATORS = ",;\t"
"""What spreadsheets write between cells: the comma, the semicolon of countries with a decimal comma, tabs."""

MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
SAVE = "save the table as `CSV UTF-8`"


def question_table(asked: QuestionSet) -> bytes:
    """The questions as CSV with room for the answers; UTF-8 with a byte order mark, which Excel needs."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(COLUMNS)
    for question in asked.questions:
        writer.writerow([asked.label, csv_text(question.image), csv_text(question.class_name), "", ""])
    return sink.getvalue().encode("utf-8-sig")


def table_answers(file: Path, content: bytes, *, at: str, asked: Sequence[QuestionSet]) -> list[Given]:
    """The rows of the file, unanswered ones included.

    Args:
        file: for messages.
        content: of it.
        at: when it was answered, ISO 8601, as a table does not say.
        asked: sets of the study.

    Raises:
        ResultsError: it is no such table, a row has other cells than the header, or the file is cut off.
    """
    text = _decoded(file, content)
    separator, lines = _opened(file, text)
    given, problems = [], []
    names = {
        (one.label, csv_text(question.image), csv_text(question.class_name)): question.pair
        for one in asked
        for question in one.questions
    }
    try:
        reader = csv.reader(lines, delimiter=separator, strict=True)
        header = [name.strip().lower() for name in next(reader)]
        columns = [header.index(name) for name in COLUMNS]
        for row in reader:
            place = str(reader.line_num)
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                problems.append(Problem(place=place, text=_other_length(len(header), len(row))))
                continue
            label, image, class_name, reply, by = (row[column] for column in columns)
            # The table has `'` before what a spreadsheet would evaluate; the spreadsheet may have dropped it again.
            image, class_name = names.get((label.strip(), image, class_name), (image, class_name))
            given.append(
                Given(
                    place=place,
                    set_label=label.strip(),
                    image=image,
                    class_name=class_name,
                    reply=reply,
                    by=by,
                    at=at,
                )
            )
    except csv.Error as error:
        problems.append(Problem(place=str(reader.line_num), text=f"{error}; the file may be cut off, or lack a quote"))
    raise_problems(file, problems)
    _check_end(file, text, given, asked)
    return given


def _decoded(file: Path, content: bytes) -> str:
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ResultsError(f"{file}:{line}: expected text in UTF-8, got other bytes; {SAVE}") from error
    if "\0" in text:
        raise ResultsError(f"{file}:{text[: text.index(chr(0))].count(chr(10)) + 1}: expected text, got zero bytes")
    return text


def _opened(file: Path, text: str) -> tuple[str, io.StringIO]:
    """What separates the cells, by the header, and the lines."""
    first = next(iter(text.splitlines()), "")
    for separator in SEPARATORS:
        names = [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])]
        if set(COLUMNS) <= set(names) and len(set(names)) == len(names):
            return separator, io.StringIO(text, newline="")
    expected = f"expected the columns {', '.join(COLUMNS)}, as `ask` has written them"
    raise ResultsError(f"{file}:1: {expected}, got {shown(first)}")


def _other_length(expected: int, got: int) -> str:
    cut = "; the file may be cut off" if got < expected else "; put quotes around a cell that holds a separator"
    return f"expected {expected} cells, as the header has, got {got}{cut}"


def _check_end(file: Path, text: str, given: list[Given], asked: Sequence[QuestionSet]) -> None:
    """A last row without a line end, where questions are missing, is what an interrupted copy leaves."""
    if not given or text.endswith(("\n", "\r")):
        return
    sizes = {one.label: len(one.questions) for one in asked}
    expected = sum(sizes.get(label, 0) for label in {one.set_label for one in given})
    if len(given) < expected:
        raise ResultsError(
            f"{file}:{given[-1].place}: the file ends within a line, and has {len(given):,} of {expected:,} questions: "
            "it seems to be cut off; copy it again, or end this line if the file is meant to be so"
        )
