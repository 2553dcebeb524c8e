"""Pascal VOC."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="voc2007",
        position=20,
        content="Pascal VOC 2007, 5,011 + 4,952 photos, 20 classes",
        layout="ImageSets/ and JPEGImages/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.voc2012:read_voc2007",
    ),
    ReaderRecord(
        name="voc2012",
        position=30,
        content="Pascal VOC 2012, 5,717 + 5,823 photos, 20 classes",
        layout="ImageSets/ and JPEGImages/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.voc2012:read_voc2012",
    ),
)
