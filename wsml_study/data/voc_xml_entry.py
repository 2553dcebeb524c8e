"""The user's own labels in the XML of Pascal VOC."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="voc_xml",
        position=115,
        content="your photos, objects in Pascal VOC's XML",
        layout="your photos; data.labels.file names the folder of the .xml files",
        reads=Reads.LABEL_FILES,
        reader="wsml_study.data.voc_xml:read_voc_xml",
        keeps_labels=True,
        leaves_out="difficult objects",
    ),
)
