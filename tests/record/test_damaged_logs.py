"""A damaged, emptied or deleted event log is an error that names the line, and nothing is written over it."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wsml_study.cli.entry import app
from wsml_study.errors import ResultsError, WsmlStudyError
from wsml_study.record.event_log import EventLog
from wsml_study.record.events import read_history, read_log

FINISHED = Path(__file__).parents[1] / "recorded" / "finished" / "results" / "finished"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FINISHED, tmp_path / "finished"))


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "events.jsonl").read_bytes().splitlines(keepends=True)


def write(folder: Path, lines: list[bytes]) -> None:
    (folder / "events.jsonl").write_bytes(b"".join(lines))


def numbered(folder: Path) -> None:
    """The events as this version writes them, with their numbers."""
    events = [json.loads(line) for line in lines_of(folder)]
    write(folder, [json.dumps(event | {"number": n}).encode() + b"\n" for n, event in enumerate(events, start=1)])


DAMAGE = {
    "invalid UTF-8": lambda lines: [*lines[:3], b'{"event": "\xff\xfe"}\n', *lines[3:]],
    "no JSON": lambda lines: [*lines[:3], b"{\n", *lines[4:]],
    "no event": lambda lines: [*lines[:3], b"[1]\n", *lines[4:]],
    "a trial that was not created": lambda lines: [
        *lines[:3],
        b'{"event": "attempt", "time": 1, "trial": 99, "attempt": 1}\n',
    ],
    "an epoch without a result": lambda lines: [
        *lines[:3],
        b'{"event": "epoch", "time": 1, "trial": 0, "attempt": 1}\n',
    ],
    "an unknown state": lambda lines: [line.replace(b'"state": "complete"', b'"state": "great"') for line in lines],
    "NaN": lambda lines: [line.replace(b'"train_loss": ', b'"train_loss": NaN, "was": ', 1) for line in lines],
    "no created line": lambda lines: [line for line in lines if b'"event": "created"' not in line],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_is_named(folder: Path, damage: str) -> None:
    write(folder, DAMAGE[damage](lines_of(folder)))
    before = (folder / "events.jsonl").read_bytes()
    with pytest.raises(ResultsError, match=r"events.jsonl:\d+: expected .*; the log is damaged: restore it"):
        read_history(folder)
    with pytest.raises(ResultsError, match="the log is damaged"):
        EventLog(folder / "events.jsonl")
    assert (folder / "events.jsonl").read_bytes() == before


def test_a_folder_in_place_of_the_log_is_named(folder: Path) -> None:
    (folder / "events.jsonl").unlink()
    (folder / "events.jsonl").mkdir()
    with pytest.raises(ResultsError, match="expected the event log, a file"):
        read_history(folder)


@pytest.mark.parametrize("removed", [2, 10])
def test_a_line_that_was_removed_is_noticed(folder: Path, removed: int) -> None:
    numbered(folder)
    assert len(read_log(folder / "events.jsonl")[1].trials) == 5
    lines = lines_of(folder)
    write(folder, lines[:removed] + lines[removed + 1 :])
    with pytest.raises(ResultsError, match=rf"events.jsonl:{removed + 1}: expected event {removed + 1}, got event"):
        read_history(folder)


def test_an_emptied_log_beside_tables_is_an_error(folder: Path) -> None:
    (folder / "events.jsonl").write_bytes(b"")
    for command in (["status", str(folder / "study.yaml"), "--storage", str(folder.parent)], ["report", str(folder)]):
        result = CliRunner().invoke(app, command)
        assert "events are lost; restore events.jsonl" in f"{result.output} {result.exception}", command


def test_a_log_that_is_deleted_while_it_is_written_stops_the_run(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "study" / "events.jsonl")
    log.append("run", classes=["a"], num_trials=1)
    (tmp_path / "study").rename(tmp_path / "elsewhere")
    with pytest.raises(ResultsError, match="was deleted, moved or replaced while the study ran"):
        log.append("run", classes=["a"], num_trials=1)
    log.close()


def test_events_that_go_back_in_time_are_reported(folder: Path) -> None:
    events = [json.loads(line) for line in lines_of(folder)]
    half = len(events) // 2
    moved = [event | {"time": event["time"] - 86400 * (n >= half)} for n, event in enumerate(events)]
    write(folder, [json.dumps(event).encode() + b"\n" for event in moved])
    result = CliRunner().invoke(app, ["report", str(folder), "-o", str(folder / "report.html")])
    assert result.exception is None, result.exception
    assert (folder / "report.html").stat().st_size > 100_000


def test_fifty_random_damages_are_errors_or_change_nothing(folder: Path) -> None:
    numbered(folder)
    whole = (folder / "events.jsonl").read_bytes()
    draw = random.Random(0)
    refused = 0
    for _ in range(50):
        content = bytearray(whole)
        match draw.randrange(4):
            case 0:
                del content[draw.randrange(len(content)) :]
            case 1:
                at = draw.randrange(len(content))
                del content[at : at + draw.randrange(1, 2000)]
            case 2:
                content[draw.randrange(len(content))] = draw.randrange(256)
            case 3:
                lines = bytes(content).splitlines(keepends=True)
                at = draw.randrange(len(lines))
                content = bytearray(b"".join([*lines[:at], lines[at], *lines[at:]]))
        (folder / "events.jsonl").write_bytes(content)
        try:
            read_history(folder)
        except WsmlStudyError:
            refused += 1
    assert refused > 25
