"""The embedded scenes of handwritten digits."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="digit_scenes",
        position=10,
        content="1,500 + 1,000 scenes of handwritten digits, 10 classes",
        layout="embedded, needs no folder",
        reads=Reads.NOTHING,
        reader="wsml_study.data.digit_scenes:read_digit_scenes",
    ),
)
