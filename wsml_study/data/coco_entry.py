"""MS COCO."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="coco2014",
        position=40,
        content="MS COCO 2014, 82,081 + 40,137 photos, 80 classes",
        layout="annotations/, train2014/, val2014/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.coco:read_coco2014",
    ),
    ReaderRecord(
        name="coco2017",
        position=50,
        content="MS COCO 2017, 80 classes",
        layout="annotations/, train2017/, val2017/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.coco:read_coco2017",
    ),
)
