"""LVIS."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="lvis",
        position=82,
        content="LVIS v1, 100,170 + 19,809 photos, 1,203 classes, federated labels",
        layout="lvis_v1_train.json, lvis_v1_val.json, train2017/, val2017/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.lvis:read_lvis",
        keeps_labels=True,
    ),
)
