"""OpenImages V3."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads
from wsml_study.options import Option, one_of

RECORDS = (
    ReaderRecord(
        name="openimages_v3",
        position=80,
        content="OpenImages V3 (2017_11), 5,000 classes, partial labels",
        layout="classes-trainable.txt, train/, validation/, test/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.openimages_v3:read_openimages_v3",
        keeps_labels=True,
        options=(
            Option(
                key="validation_subset",
                meaning="which images validate",
                limits=one_of(
                    drawn="a fraction of those of the subset train, as data.validation says",
                    official="those of the subset validation, whatever data.validation says of fraction and seed",
                ),
                default="drawn",
            ),
        ),
    ),
)
