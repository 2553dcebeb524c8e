"""OpenImages V3."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="openimages_v3",
        position=80,
        content="OpenImages V3 (2017_11), 5,000 classes, partial labels",
        layout="classes-trainable.txt, train/, test/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.openimages_v3:read_openimages_v3",
        keeps_labels=True,
    ),
)
