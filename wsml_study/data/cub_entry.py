"""CUB-200-2011."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="cub",
        position=70,
        content="CUB-200-2011, 5,994 + 5,794 photos, 312 attributes",
        layout="images.txt, attributes/, images/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.cub:read_cub",
    ),
)
