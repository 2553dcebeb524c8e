"""NUS-WIDE."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="nuswide",
        position=60,
        content="NUS-WIDE, 81 concepts",
        layout="official lists or formatted_*.npy, photos in Flickr/ or images/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.nuswide:read_nuswide",
    ),
)
