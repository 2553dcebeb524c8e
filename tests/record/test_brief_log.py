"""A long log whose ended trials are read from the tables says what the whole log says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from wsml_study.record import log_snapshot
from wsml_study.record.brief_log import read_brief_log
from wsml_study.record.events import read_history, read_log
from wsml_study.record.kept_rows import kept_rows
from wsml_study.record.log_snapshot import write_snapshot
from wsml_study.record.storage import StudyStorage
from wsml_study.record.tables import TableWriter, read_table, write_tables
from wsml_study.results.study_results import StudyRecord, read_record, record_of
from wsml_study.study.reading import read_study

RECORDED = "tests/recorded/interrupted/results"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recorded study whose log counts as long, with numbers as logs have them today."""
    monkeypatch.setattr(log_snapshot, "LEAST_BYTES", 1)
    shutil.copytree(RECORDED, tmp_path / "results")
    log = tmp_path / "results" / "interrupted" / "events.jsonl"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    numbered = ({"event": event["event"], "number": number} | event for number, event in enumerate(events, start=1))
    log.write_text("".join(json.dumps(event) + "\n" for event in numbered))
    return log.parent


def write_up_to(folder: Path, num_lines: int) -> None:
    """Tables and snapshot as they were after so many events; the log stays whole."""
    log = folder / "events.jsonl"
    whole = log.read_bytes()
    log.write_bytes(b"".join(whole.splitlines(keepends=True)[:num_lines]))
    history = read_log(log)[1]
    write_tables(folder, read_study(folder / "study.yaml"), history)
    write_snapshot(StudyStorage(folder=folder, remote=None), history)
    log.write_bytes(whole)


def read_whole(folder: Path) -> StudyRecord:
    return record_of(folder, read_study(folder / "study.yaml"), *read_log(folder / "events.jsonl"))


def test_the_record_is_the_same_wherever_in_the_log_the_tables_were_written(folder):
    expected = read_whole(folder)
    num_left_out = set()
    for num_lines in range(2, len(expected.events) + 1):
        write_up_to(folder, num_lines)
        found = read_record(folder)
        for name in ("trials", "epochs", "classes"):
            pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name))
        assert (found.attempts, found.runs, found.counts) == (expected.attempts, expected.runs, expected.counts)
        assert found.history.spending == expected.history.spending
        assert found.history.num_closed == expected.history.num_closed
        assert found.history.num_begun == expected.history.num_begun
        assert found.history.limit_lines() == expected.history.limit_lines()
        num_left_out.add(found.history.num_left_out)
    assert num_left_out == set(range(sum(expected.history.num_closed.values()) + 1))


def test_the_whole_log_is_read_where_the_tables_lack_an_epoch_or_a_trial(folder):
    study, num_events = read_study(folder / "study.yaml"), len(read_whole(folder).events)
    for table in ("trials", "epochs"):
        write_up_to(folder, num_events)
        assert read_brief_log(folder, study) is not None
        path = folder / f"{table}.parquet"
        pq.write_table(pq.read_table(path).slice(1), path)
        assert read_brief_log(folder, study) is None
        assert read_record(folder).history == read_history(folder)


def test_the_whole_log_is_read_where_an_event_is_missing(folder):
    write_up_to(folder, len(read_whole(folder).events))
    log = folder / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    number = next(number for number, line in enumerate(lines) if line.startswith(b'{"event": "epoch"'))
    # As long as before, so that the snapshot still fits the end of the log.
    lines[number - 1] = b" " * (len(lines[number]) - 1) + lines[number - 1]
    del lines[number]
    log.write_bytes(b"".join(lines))
    assert read_brief_log(folder, read_study(folder / "study.yaml")) is None


def test_a_driver_that_resumes_writes_the_same_tables_with_the_rows_that_it_finds(folder):
    study, history = read_study(folder / "study.yaml"), read_history(folder)
    num_kept = set()
    for num_lines in range(2, len(read_whole(folder).events) + 1):
        write_up_to(folder, num_lines)
        rows = kept_rows(folder, study, history)
        assert rows is not None
        num_kept.add(len(rows["trials"]))
        TableWriter(folder, study, rows).write(history)
        found = {name: read_table(folder, name) for name in rows}
        write_tables(folder, study, history)
        assert found == {name: read_table(folder, name) for name in rows}
    assert num_kept == set(range(sum(history.num_closed.values()) + 1))


def test_a_driver_that_resumes_takes_no_rows_of_another_log_or_version(folder):
    study, history = read_study(folder / "study.yaml"), read_history(folder)
    num_events = len(read_whole(folder).events)
    trials = folder / "trials.parquet"
    for change in (
        lambda table: table.slice(1),
        lambda table: table.drop(["host"]),
        lambda table: table.set_column(
            table.column_names.index("last_epoch"), table.schema.field("last_epoch"), table["attempts"]
        ),
    ):
        write_up_to(folder, num_events)
        assert kept_rows(folder, study, history) is not None
        pq.write_table(change(pq.read_table(trials)), trials)
        assert kept_rows(folder, study, history) is None
    (folder / "snapshot.json").unlink()
    assert kept_rows(folder, study, history) is None
