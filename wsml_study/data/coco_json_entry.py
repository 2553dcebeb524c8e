"""The user's own labels in COCO's JSON."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="coco_json",
        position=110,
        content="your photos, objects in COCO's JSON",
        layout="your photos; data.labels.file names the JSON",
        reads=Reads.LABEL_FILES,
        reader="wsml_study.data.coco_json:read_coco_json",
        keeps_labels=True,
    ),
)
