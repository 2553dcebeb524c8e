"""Files of answers: as they are written, as people and programs change them, and what each message says."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from wsml_study.errors import ResultsError
from wsml_study.record.answer_files import AnswerFile, read_answers
from wsml_study.record.answer_table import question_table
from wsml_study.record.questions import Answer, Question, QuestionSet

TIME = "2026-03-01T10:00:00+00:00"
SET = QuestionSet(
    study="birds",
    study_id="3f2a9c4e77aa",
    number=2,
    questions=(
        Question(image="a/1.jpg", class_name="owl", row=4),
        Question(image="a/1.jpg", class_name="gull", row=4),
        Question(image="b/1.jpg", class_name="=owl; or, hawk", row=7),
    ),
)
EARLIER = SET.model_copy(update={"number": 1})


def answer(image: str, class_name: str, reply: str, by: str = "Ann") -> Answer:
    return Answer.model_validate(
        {"image": image, "class_name": class_name, "answer": reply, "by": by, "at": TIME, "set_number": 2}
    )


GIVEN = (
    answer("a/1.jpg", "owl", "yes"),
    answer("b/1.jpg", "=owl; or, hawk", "unsure"),
    answer("a/1.jpg", "owl", "no", "Bo"),
)


def saved(folder: Path, content: str | bytes, name: str = "answers") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(file, (1772359200, 1772359200))  # 2026-03-01 10:00 UTC
    return file


def page_file(answers: tuple[Answer, ...] = GIVEN, study_id: str = SET.study_id, number: int = 2) -> str:
    return AnswerFile(
        study="birds", study_id=study_id, set_number=number, num_answers=len(answers), answers=answers
    ).model_dump_json()


def table(*replies: tuple[str, str]) -> str:
    lines = question_table(SET).decode("utf-8-sig").splitlines()
    rows = [line.removesuffix(",,") + f",{reply},{by}" for line, (reply, by) in zip(lines[1:], replies, strict=True)]
    return "\r\n".join([lines[0], *rows, ""])


def complaint(file: Path, asked: tuple[QuestionSet, ...] = (EARLIER, SET)) -> str:
    with pytest.raises(ResultsError) as raised:
        read_answers(file, asked)
    return str(raised.value).removeprefix(f"{file}:")


def test_what_the_page_downloads_comes_back(tmp_path):
    assert read_answers(saved(tmp_path, page_file()), [EARLIER, SET]) == list(GIVEN)


def test_a_download_that_is_cut_or_another_studys_is_refused(tmp_path):
    assert "1: not complete JSON" in complaint(saved(tmp_path, page_file()[:-40]))
    assert "these are answers to study 'birds' (ffff), expected this one (3f2a9c4e77aa)" in complaint(
        saved(tmp_path, page_file(study_id="ffff"))
    )
    assert "these answer set 3; this study has asked the sets 1, 2" in complaint(saved(tmp_path, page_file(number=3)))
    short = json.loads(page_file())
    short["answers"].pop()
    assert "expected 3 answers, as the file says, got 2" in complaint(saved(tmp_path, json.dumps(short)))
    assert "the file is empty" in complaint(saved(tmp_path, ""))
    assert "this is the page of questions" in complaint(saved(tmp_path, "<!doctype html>\n<html lang=en>"))


def test_one_person_answers_a_question_once_in_a_file(tmp_path):
    doubled = (*GIVEN, answer("a/1.jpg", "owl", "no"))
    text = complaint(saved(tmp_path, page_file(doubled)))
    assert text.splitlines() == [
        "answer 4: Ann answers the question of answer 1 again; leave one of the two",
        "nothing was taken from this file",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_comes_back_as_any_spreadsheet_saves_it(tmp_path, encoding: str):
    written = table(("YES", "Ann"), ("", ""), ("u", " "))
    expected = [answer("a/1.jpg", "owl", "yes"), answer("b/1.jpg", "=owl; or, hawk", "unsure", "unnamed")]
    assert "'=owl" in written
    for text in (written, written.replace("'=owl", "=owl")):  # some drop the `'` before a formula
        assert read_answers(saved(tmp_path, text.encode(encoding)), [SET]) == expected


def test_a_table_with_semicolons_is_understood(tmp_path):
    written = (
        "set;image;class;answer;by\n"
        "set2-3f2a9c4e;a/1.jpg;owl;no;Ann\nset2-3f2a9c4e;a/1.jpg;gull;;\n"
        'set2-3f2a9c4e;b/1.jpg;"\'=owl; or, hawk";y;Ann\n'
    )
    assert read_answers(saved(tmp_path, written), [SET]) == [
        answer("a/1.jpg", "owl", "no"),
        answer("b/1.jpg", "=owl; or, hawk", "yes"),
    ]


def test_every_bad_row_of_a_table_is_named_with_its_line(tmp_path):
    head = "set,image,class,answer,by\n"
    rows = (
        "set2-3f2a9c4e,a/1.jpg,owl,perhaps,Ann\nset2-3f2a9c4e,1.Jan,owl,yes,Ann\nset2-12345678,a/1.jpg,owl,yes,Ann\n"
        "set2-3f2a9c4e,a/1.jpg,gull,no,Ann\nset2-3f2a9c4e,a/1.jpg,gull,no,Ann\n"
    )
    lines = complaint(saved(tmp_path, head + rows)).splitlines()
    assert [line.rpartition("answers:")[2][:2] for line in lines[:4]] == ["2:", "3:", "4:", "6:"]
    assert "expected yes, no or unsure, or nothing, got 'perhaps'" in lines[0]
    assert "has not asked about 'owl' in '1.Jan'; if a spreadsheet has changed names" in lines[1]
    assert "these are answers to another study; this study has asked set1-3f2a9c4e, set2-3f2a9c4e" in lines[2]
    assert "Ann answers the question of line 5 again" in lines[3]
    assert lines[4] == "nothing was taken from this file"


def test_a_table_that_is_cut_off_is_refused(tmp_path):
    whole = table(("yes", "Ann"), ("no", "Ann"), ("no", "Ann"))
    cut = [
        complaint(saved(tmp_path, whole[:size])) for size in (20, whole.index("gull") + 2, whole.index("no,Ann") + 6)
    ]
    assert "1: expected the columns set, image, class, answer, by" in cut[0]
    assert "3: expected 5 cells, as the header has, got 3; the file may be cut off" in cut[1]
    assert "3: the file ends within a line, and has 2 of 3 questions" in cut[2]
    quoted = whole[: whole.index("; or")]
    assert "4: unexpected end of data" in complaint(saved(tmp_path, quoted))
    assert len(read_answers(saved(tmp_path, whole.rstrip()), [SET])) == 3


def test_what_is_no_table_of_answers_says_so(tmp_path):
    assert "2: expected text in UTF-8" in complaint(saved(tmp_path, b"set,image,class,answer,by\nset2,\xfc,x,y,z\n"))
    assert "expected JSON in UTF-8, got UTF-16" in complaint(saved(tmp_path, "[{}]".encode("utf-16")))
    assert "an Excel file as `CSV UTF-8`" in complaint(saved(tmp_path, b"PK\3\4 and so on"))


def label_studio(*annotations: dict) -> str:
    data = {"image": "data:", "set": "set2-3f2a9c4e", "image_name": "a/1.jpg", "class": "owl"}
    return json.dumps([{"id": 7, "data": data, "annotations": list(annotations)}])


def annotation(reply: str, by: object, at: str, **other: object) -> dict:
    result = {"from_name": "answer", "to_name": "image", "type": "choices", "value": {"choices": [reply]}}
    return {"completed_by": by, "updated_at": at, "result": [result], "was_cancelled": False, **other}


def test_label_studios_latest_annotation_of_a_person_counts_and_skipped_tasks_do_not(tmp_path):
    email = {"id": 3, "email": "ann@example.org"}
    exported = label_studio(
        annotation("no", email, "2026-03-01T10:00:00Z"),
        annotation("yes", email, "2026-03-01T11:00:00Z"),
        annotation("unsure", 5, "2026-03-01T10:00:00Z"),
        annotation("no", 6, "2026-03-01T10:00:00Z", was_cancelled=True),
    )
    read = read_answers(saved(tmp_path, exported), [SET])
    assert [(one.by, one.answer, one.at) for one in read] == [
        ("ann@example.org", "yes", "2026-03-01T11:00:00Z"),
        ("annotator 5", "unsure", "2026-03-01T10:00:00Z"),
    ]


def test_another_export_of_label_studio_is_refused(tmp_path):
    assert "expected tasks with annotations, got an empty list" in complaint(saved(tmp_path, "[]"))
    assert "task 1: not a task that `ask` has written" in complaint(
        saved(tmp_path, '[{"image": "x", "answer": "yes"}]')
    )
    bad_time = label_studio(annotation("yes", 1, "yesterday"))
    assert "expected a time such as" in complaint(saved(tmp_path, bad_time))


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><job><assignee><username>ann</username></assignee></job><dumped>2026-03-01 10:00:00.5+00:00</dumped></meta>
<image id="0" name="some/folder/set2-3f2a9c4e_00000.jpg" width="9" height="9">
<tag label="owl" source="manual"><attribute name="answer">yes</attribute></tag>
<tag label="gull" source="manual"><attribute name="answer">open</attribute></tag></image>
<image id="1" name="set2-3f2a9c4e_00001.jpg" width="9" height="9">
<tag label="=owl; or, hawk" source="manual"><attribute name="answer">no</attribute></tag></image>
</annotations>"""


def test_cvats_tags_are_answers_where_they_are_not_open(tmp_path):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("annotations.xml", CVAT)
    for content in (CVAT.encode(), sink.getvalue()):
        read = read_answers(saved(tmp_path, content), [EARLIER, SET])
        assert [(*one.pair, one.answer, one.by) for one in read] == [
            ("a/1.jpg", "owl", "yes", "ann"),
            ("b/1.jpg", "=owl; or, hawk", "no", "ann"),
        ]
        assert read[0].at == "2026-03-01 10:00:00.5+00:00"


def test_other_xml_is_refused(tmp_path):
    assert "9: expected CVAT's export, got no complete XML" in complaint(saved(tmp_path, CVAT[:-10]))
    assert "expected images that `ask` has written for CVAT, got 'x.jpg'" in complaint(
        saved(tmp_path, CVAT.replace("set2-3f2a9c4e_00001", "x"))
    )
    assert "answers to another study" in complaint(
        saved(tmp_path, CVAT.replace("set2-3f2a9c4e_00001", "set9-3f_00001"))
    )
    assert "document type" in complaint(saved(tmp_path, "<!DOCTYPE x>" + CVAT[39:]))
