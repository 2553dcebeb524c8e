"""A log that is followed says the same as one that is read whole, however it has grown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sample_studies.synthetic import synthetic_events, synthetic_study
from wsml_study.errors import ResultsError
from wsml_study.record.events import read_log
from wsml_study.record.growing_log import GrowingLog

EVENTS = [
    {**event, "number": number} for number, event in enumerate(synthetic_events(synthetic_study(6), num_classes=2), 1)
]
CONTENT = "".join(json.dumps(event) + "\n" for event in EVENTS).encode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=6))
def test_it_is_read_in_parts_as_it_is_read_whole(tmp_path: Path, cuts: list[int]) -> None:
    path = tmp_path / "events.jsonl"
    path.unlink(missing_ok=True)
    log = GrowingLog(path)
    assert log.read() == []
    found = []
    for cut in [*sorted(cuts), len(CONTENT)]:
        path.write_bytes(CONTENT[:cut])  # also written anew, as the copy of a remote log is
        found += log.read()
    events, history = read_log(path)
    assert found == log.events == events
    assert log.history == history


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(CONTENT)
    log = GrowingLog(path)
    assert len(log.read()) == len(EVENTS)
    history = log.history
    assert log.read() == []
    with path.open("ab") as file:
        file.write(json.dumps({"event": "exhausted", "number": len(EVENTS) + 1, "time": 0}).encode() + b"\n")
    assert [event["event"] for event in log.read()] == ["exhausted"]
    assert log.history is history


def test_another_log_in_its_place_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(CONTENT)
    log = GrowingLog(path)
    log.read()
    before = log.history
    path.write_bytes(CONTENT.replace(b'"LL-R"', b'"LL-Q"'))
    assert len(log.read()) == len(EVENTS)
    assert log.history is not before
    path.unlink()
    assert log.read() == []
    assert log.events == []


def test_a_line_that_is_missing_or_damaged_is_found_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = CONTENT.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]))
    log = GrowingLog(path)
    log.read()
    path.write_bytes(b"".join(lines[:5] + lines[6:8]))
    for _ in range(2):
        with pytest.raises(ResultsError, match=r"events\.jsonl:6: expected event 6, got event 7"):
            log.read()
    path.write_bytes(CONTENT)
    assert len(log.read()) == len(EVENTS)
