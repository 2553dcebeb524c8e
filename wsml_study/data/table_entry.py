"""The user's own labels in a table."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="table",
        position=90,
        content="your photos, labels in CSV, TSV or Parquet",
        layout="your photos; data.labels.file names the table, which may hold them",
        reads=Reads.LABEL_FILES,
        reader="wsml_study.data.table:read_table_dataset",
        keeps_labels=True,
        holds_images=True,
    ),
)
