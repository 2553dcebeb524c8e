"""Notes beside a study are appended, whole or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyarrow import fs

from wsml_study.errors import ResultsError
from wsml_study.record.note_log import Note, add_note, read_notes
from wsml_study.record.storage import RemoteFolder, StudyStorage


@pytest.fixture
def place(tmp_path: Path) -> StudyStorage:
    (tmp_path / "study").mkdir()
    return StudyStorage(folder=tmp_path / "study", remote=None)


def test_notes_of_several_writers_are_all_kept(place: StudyStorage) -> None:
    notes = [Note(text=f"note {number}", by="Ann") for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda note: add_note(place, note), notes))
    assert sorted(note.text for note in read_notes(place)) == sorted(note.text for note in notes)


def test_a_line_that_a_crash_cut_short_is_left_out_and_replaced(place: StudyStorage) -> None:
    add_note(place, Note(text="first"))
    with (place.folder / "notes.jsonl").open("a") as file:
        file.write('{"text": "torn')
    assert [note.text for note in read_notes(place)] == ["first"]
    add_note(place, Note(text="second\nwith a line of its own"))
    assert [note.text for note in read_notes(place)] == ["first", "second\nwith a line of its own"]


def test_a_damaged_line_is_named(place: StudyStorage) -> None:
    (place.folder / "notes.jsonl").write_text('{"text": "a", "by": "", "at": ""}\n{"words": 1}\n')
    with pytest.raises(ResultsError, match=r"notes\.jsonl:2: expected a note with text, by and at"):
        read_notes(place)


def test_notes_of_a_remote_study_are_kept_there(tmp_path: Path) -> None:
    (tmp_path / "bucket" / "study").mkdir(parents=True)
    remote = RemoteFolder(filesystem=fs.LocalFileSystem(), path=str(tmp_path / "bucket" / "study"), uri="s3://b/study")
    place = StudyStorage(folder=tmp_path / "copy" / "study", remote=remote)
    place.folder.mkdir(parents=True)
    add_note(place, Note(text="first"))
    add_note(place, Note(text="second"))
    assert [note.text for note in read_notes(place)] == ["first", "second"]
    assert (tmp_path / "bucket" / "study" / "notes.jsonl").read_bytes().count(b"\n") == 2
