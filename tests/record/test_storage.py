"""Where a study is kept, on a real file system and on a real S3-speaking server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from tests.storage_server import CREDENTIALS, bucket
from wsml_study.errors import ResultsError
from wsml_study.record.event_log import EventLog
from wsml_study.record.events import read_events
from wsml_study.record.label_tables import CORRECTIONS, DISTRUSTED, LabelTable
from wsml_study.record.storage import SEGMENT_BYTES, EventMirror, StudyStorage, open_storage


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with bucket("studies") as uri:
        yield uri


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyStorage:
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "cache"))
    return open_storage(str(tmp_path) if request.param == "folder" else uri, f"study-{tmp_path.name}")


def test_a_document_is_read_as_it_was_written(storage: StudyStorage) -> None:
    assert storage.read("note.json") is None
    storage.write("note.json", b"one")
    storage.write("note.json", b"two")
    assert storage.read("note.json") == b"two"
    storage.delete("note.json")
    storage.delete("note.json")
    assert storage.read("note.json") is None


def test_a_study_moves_with_all_its_files(storage: StudyStorage) -> None:
    storage.write("study.yaml", b"name: s\n")
    aside = storage.sibling(f"{storage.folder.name}.1")
    assert storage.exists()
    assert not aside.exists()
    storage.move_to(aside)
    assert not storage.exists()
    assert aside.read("study.yaml") == b"name: s\n"


def test_events_far_away_come_back_in_their_order(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)
    notes = ["a", "b" * SEGMENT_BYTES, "c", "d"]
    for machine, some in (("one", notes[:3]), ("other", notes[3:])):
        monkeypatch.setenv("WSML_CACHE", str(tmp_path / machine))
        storage = open_storage(uri, "events")
        log = EventLog(storage.fetch() / "events.jsonl", mirror=EventMirror(storage))
        for note in some:
            log.append("run", classes=[note])
        log.close()
    assert [name for name, _ in storage.segments()] == ["000000.jsonl", "000001.jsonl"]
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "third"))
    events = read_events(open_storage(uri, "events").fetch() / "events.jsonl")
    assert [event["classes"] for event in events] == [[note] for note in notes]


def test_a_local_copy_that_ran_ahead_of_the_storage_gives_way_to_it(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("WSML_CACHE", str(tmp_path))
    storage = open_storage(uri, "ahead")
    log = EventLog(storage.fetch() / "events.jsonl", mirror=EventMirror(storage))
    log.append("run", classes=["kept"])
    log.close()
    with (storage.folder / "events.jsonl").open("a") as file:
        file.write('{"event": "run", "classes": ["never sent"]}\n')
    assert [event["classes"] for event in read_events(storage.fetch() / "events.jsonl")] == [["kept"]]


def test_a_local_copy_has_the_confirmation_as_the_storage_has_it(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "one"))
    storage = open_storage(uri, "confirmed")
    storage.write("study.yaml", b"name: confirmed\n")
    confirmation = storage.inside("confirm")
    confirmation.write("study.yaml", b"name: again\n")
    log = EventLog(confirmation.fetch() / "events.jsonl", mirror=EventMirror(confirmation))
    log.append("run", classes=["a"])
    log.close()
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "other"))
    elsewhere = open_storage(uri, "confirmed")
    folder = elsewhere.fetch()
    assert (folder / "confirm" / "study.yaml").read_bytes() == b"name: again\n"
    assert [event["classes"] for event in read_events(folder / "confirm" / "events.jsonl")] == [["a"]]
    storage.move_to(storage.sibling("confirmed.1"))
    assert not (elsewhere.fetch() / "confirm").exists()


def test_a_local_copy_has_the_levels_that_the_storage_has(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "one"))
    storage = open_storage(uri, "leveled")
    storage.write("study.yaml", b"name: leveled\n")
    for number in (1, 2):
        storage.level(number).write("study.yaml", f"name: level {number}\n".encode())
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "other"))
    elsewhere = open_storage(uri, "leveled")
    folder = elsewhere.fetch()
    assert (folder / "fidelity" / "level_2" / "study.yaml").read_bytes() == b"name: level 2\n"
    assert len(elsewhere.levels()) == 2
    storage.move_to(storage.sibling("leveled.1"))
    assert not (elsewhere.fetch() / "fidelity" / "level_1").exists()


def test_reading_a_remote_study_leaves_the_working_copy_of_its_driver_alone(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("WSML_CACHE", str(tmp_path))
    storage = open_storage(uri, "driven")
    storage.write("study.yaml", b"name: s\n")
    log = EventLog(storage.folder / "events.jsonl", EventMirror(storage))
    log.append("exhausted")
    with storage.lock():  # as a driver in another process has it
        assert open_storage(uri, "driven").fetch() == storage.folder
        log.append("exhausted")
    assert len(read_events(storage.folder / "events.jsonl")) == 2
    storage.remote.delete("events/000000.jsonl")
    assert read_events(storage.fetch() / "events.jsonl") == []


def test_a_bucket_that_is_not_there_is_an_error_that_names_it(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ResultsError, match=r"s3://nowhere/lab/s: .*check the address, the bucket"):
        open_storage(uri.replace("s3://studies", "s3://nowhere"), "s").write("note.json", b"x")


def test_a_uri_that_means_nothing_is_an_error() -> None:
    with pytest.raises(ResultsError, match="expected a folder or a URI"):
        open_storage("gopher://somewhere/else", "s")


@pytest.mark.parametrize(
    ("table", "folder_of", "columns"),
    [
        (CORRECTIONS, StudyStorage.corrections, {"image": ["a"], "class": ["cat"], "epoch": [2], "right": [True]}),
        (DISTRUSTED, StudyStorage.distrusted, {"image": ["a"], "class": ["cat"], "epochs": [2], "of": [5]}),
    ],
)
def test_tables_of_labels_far_away_are_fetched_once_and_dropped_with_their_study(
    storage: StudyStorage,
    table: LabelTable,
    folder_of: Callable[[StudyStorage], tuple[fs.FileSystem, str]],
    columns: dict[str, list[Any]],
) -> None:
    storage.write("study.yaml", b"name: s\n")
    table.write(*folder_of(storage), 3, columns)
    assert table.trials(storage.fetch()) == [3]
    assert table.read(storage.folder, 3).to_pydict() == {"trial": [3], **columns}
    storage.move_to(storage.sibling(f"{storage.folder.name}.1"))
    storage.write("study.yaml", b"name: s\n")
    assert table.trials(storage.fetch()) == []
