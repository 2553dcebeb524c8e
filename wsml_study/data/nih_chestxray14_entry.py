"""NIH ChestX-ray14."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads
from wsml_study.options import Option, one_of

RECORDS = (
    ReaderRecord(
        name="nih_chestxray14",
        position=86,
        content="NIH ChestX-ray14, 86,524 + 25,596 chest X-rays by patients, 14 findings",
        layout="Data_Entry_2017.csv, train_val_list.txt, test_list.txt, images/ or images_001/images/ ...",
        reads=Reads.FOLDER,
        reader="wsml_study.data.nih_chestxray14:read_nih_chestxray14",
        keeps_labels=True,
        options=(
            Option(
                key="unlisted",
                meaning="what a finding is that the report does not list",
                limits=one_of(negative="as in the literature", unobserved="except in images with No Finding"),
                default="negative",
            ),
        ),
    ),
)
