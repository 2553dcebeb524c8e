"""The user's own labels in a list."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="list",
        position=100,
        content="your photos, lines of `name,index index ...`",
        layout="your photos; data.labels.file names the list",
        reads=Reads.LABEL_FILES,
        reader="wsml_study.data.lists:read_lists",
        keeps_labels=True,
    ),
)
