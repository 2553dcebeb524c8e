"""Tables for people and programs: what a name may hold does no harm there."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from wsml_study.record.formats import Format, aligned, csv_text, rendered

NAMES = ["=cmd()", "+1 cat", "-cat", "@SUM(A1)", "\tcat", "cat", "-1.5", "-", "a=b", None]
TABLE = pa.table({"=name": NAMES, "value": [-1.5] * len(NAMES)})


def test_csv_holds_no_formula() -> None:
    lines = rendered(TABLE, Format.CSV).decode().splitlines()
    assert lines == [
        '"\'=name","value"',
        '"\'=cmd()",-1.5',
        '"\'+1 cat",-1.5',
        '"\'-cat",-1.5',
        '"\'@SUM(A1)",-1.5',
        '"\'\tcat",-1.5',
        '"cat",-1.5',
        '"-1.5",-1.5',
        '"-",-1.5',
        '"a=b",-1.5',
        ",-1.5",
    ]


def test_json_keeps_names_as_they_are() -> None:
    assert [row["=name"] for row in json.loads(rendered(TABLE, Format.JSON))] == NAMES


@pytest.mark.parametrize("text", ["", "cat", "1", "-", "-2e5", "+inf", "'=x"])
def test_what_is_no_formula_stays(text: str) -> None:
    assert csv_text(text) == text


def test_cells_for_people_hold_no_control_characters() -> None:
    assert aligned({"na\x07me": ["a\x1b[2Jb\nc", "\u202eevil", "Käse\udcff"]}) == [
        "na\\x07me",
        "a\\x1b[2Jb\\nc",
        "\\u202eevil",
        "Käse\\udcff",
    ]
