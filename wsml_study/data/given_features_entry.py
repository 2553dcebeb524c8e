"""The user's own features."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads

RECORDS = (
    ReaderRecord(
        name="features",
        position=120,
        content="your features in .arff, .parquet or .npy",
        layout="your files; data.features.file names the first",
        reads=Reads.FEATURE_FILES,
        reader="wsml_study.data.given_features:read_given_features",
        keeps_labels=True,
    ),
)
