"""A damaged, emptied or deleted event log is an error that names the line, and nothing is written over it."""

from __future__ import annotations

import contextlib
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
from wsml_study.record.tables import write_tables
from wsml_study.study.reading import read_study

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


BAD_VALUES = {
    '"val_map": ': ('"val_map": "abc", "was": ', "result.val_map: expected a number or null, got 'abc'"),
    '"val_ap_C": [': ('"val_ap_C": [[], ', "result.val_ap_C: expected a list of numbers and nulls"),
    '"attempt": ': ('"attempt": {}, "was": ', "attempt: expected a whole number, 0 or more, got {}"),
    '"val_map": 2': ('"was": 2', "no key result.val_map"),
    '"time": ': ('"time": 1e99, "was": ', "time: expected seconds since 1970, got 1e+99"),
    '"method": {': ('"method": 7, "was": {', "config: expected an object of objects"),
}


@pytest.mark.parametrize("key", BAD_VALUES)
def test_a_value_of_another_kind_is_named(folder: Path, key: str) -> None:
    instead, message = BAD_VALUES[key]
    write(folder, [line.replace(key.encode(), instead.encode(), 1) for line in lines_of(folder)])
    with pytest.raises(ResultsError, match="the log is damaged") as error:
        read_history(folder)
    assert message in str(error.value)


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


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def remove_bytes(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + content[at + draw.randrange(1, 2000) :]


def change_a_byte(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :]


def repeat_a_line(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    at = draw.randrange(len(lines))
    return b"".join([*lines[: at + 1], *lines[at:]])


def swap_two_lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    first, second = draw.sample(range(len(lines)), 2)
    lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


VALUES = (None, 7, -5, 1.5, "abc", [], {}, True, [[]], {"a": 1}, 10**30, "")


def edit_a_value(content: bytes, draw: random.Random) -> bytes:
    """One key of one event, however deep, gets another value or is removed."""
    lines = content.splitlines(keepends=True)
    at = draw.randrange(len(lines))
    event = inside = json.loads(lines[at])
    while True:
        key = draw.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
        if not (isinstance(inside[key], dict | list) and inside[key]) or draw.random() < 0.4:
            break
        inside = inside[key]
    if draw.random() < 0.5:
        del inside[key]
    else:
        inside[key] = draw.choice(VALUES)
    lines[at] = json.dumps(event).encode() + b"\n"
    return b"".join(lines)


DAMAGES = (cut, remove_bytes, change_a_byte, repeat_a_line, swap_two_lines, edit_a_value, edit_a_value)


def test_of_fifty_logs_damaged_at_random_none_gives_a_traceback_and_nothing_is_lost(folder: Path) -> None:
    """A changed digit, or a removed key that not every version writes, may go unnoticed."""
    numbered(folder)
    whole, study = (folder / "events.jsonl").read_bytes(), read_study(folder / "study.yaml")
    tables = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    refused = 0
    for seed in range(50):
        draw, damage = random.Random(seed), DAMAGES[seed % len(DAMAGES)]
        damaged = damage(whole, draw)
        (folder / "events.jsonl").write_bytes(damaged)
        told = CliRunner().invoke(app, ["status", str(folder / "study.yaml"), "--storage", str(folder.parent)])
        assert isinstance(told.exception, WsmlStudyError | None), f"{damage.__name__}, seed {seed}: {told.exception!r}"
        refused += told.exception is not None
        if told.exception is None:
            events, history = read_log(folder / "events.jsonl")
            # Only a last line without its end may be missing: what it says was never acted on.
            assert len(events) == damaged.count(b"\n")
            assert len(history.trials) == sum(event["event"] == "created" for event in events)
            with contextlib.suppress(ResultsError):  # values that the study does not search
                write_tables(folder.parent, study, history)
        else:
            assert "events.jsonl" in str(told.exception)
        if damaged.endswith(b"\n") or not damaged:
            assert (folder / "events.jsonl").read_bytes() == damaged
    assert refused > 25
    assert {path.name: path.read_bytes() for path in folder.glob("*.parquet")} == tables
