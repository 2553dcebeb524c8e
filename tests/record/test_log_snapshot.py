"""The snapshot of a long log: `status` reads from it what it would read from the whole log."""

from __future__ import annotations

import shutil

import pytest

from wsml_study.record import log_snapshot
from wsml_study.record.event_log import EventLog
from wsml_study.record.events import read_history
from wsml_study.record.log_snapshot import read_brief_history, write_snapshot
from wsml_study.record.storage import StudyStorage
from wsml_study.record.trial_history import TrialState
from wsml_study.tuning.status import study_status

RECORDED = "tests/recorded/interrupted/results"


@pytest.fixture
def storage(tmp_path, monkeypatch) -> StudyStorage:
    """A recorded study whose log counts as long."""
    monkeypatch.setattr(log_snapshot, "LEAST_BYTES", 1)
    shutil.copytree(RECORDED, tmp_path / "results")
    return StudyStorage(folder=tmp_path / "results" / "interrupted", remote=None)


def cut(storage: StudyStorage, num_lines: int) -> bytes:
    """Leave the first lines of the log and write a snapshot of them; returns the others."""
    path = storage.folder / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:num_lines]))
    write_snapshot(storage, read_history(storage.folder))
    return b"".join(lines[num_lines:])


def test_status_says_the_same_wherever_in_the_log_the_snapshot_was_written(storage):
    where = str(storage.folder.parent)
    expected = study_status(where, "interrupted")
    num_lines = len((storage.folder / "events.jsonl").read_bytes().splitlines())
    for number in range(2, num_lines + 1):
        rest = cut(storage, number)
        with (storage.folder / "events.jsonl").open("ab") as file:
            file.write(rest)
        found = study_status(where, "interrupted")
        assert (found.as_json(), found.lines()) == (expected.as_json(), expected.lines())
    assert found.history.num_left_out == expected.history.num_with_state(
        TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED
    )


def test_a_snapshot_of_another_log_is_of_no_use(storage):
    cut(storage, 5)
    path = storage.folder / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"time": 1', b'"time": 2'))
    assert read_brief_history(storage.folder) == read_history(storage.folder)
    (storage.folder / "snapshot.json").write_text('{"bytes": 3')
    assert read_brief_history(storage.folder) == read_history(storage.folder)


def test_a_short_log_has_no_snapshot(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.append("exhausted")
    write_snapshot(StudyStorage(folder=tmp_path, remote=None), log.history)
    assert not (tmp_path / "snapshot.json").exists()
