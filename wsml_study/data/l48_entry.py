"""L48."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads
from wsml_study.options import Option, one_of

RECORDS = (
    ReaderRecord(
        name="l48",
        position=88,
        content="L48, spectrograms of bird sounds, 100 species, natural single positives",
        layout="clips.json, assets.json, taxa.csv, val_split.npy, images/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.l48:read_l48",
        keeps_labels=True,
        options=(
            Option(
                key="supervision",
                meaning="which labels of training images are known",
                limits=one_of(
                    target="the target species of the recording, where it is present",
                    geo="as well, species that do not live there are absent",
                    checklist="as well, species that the recordist's checklist lacks are absent",
                    full="all that experts annotated",
                ),
                default="target",
            ),
        ),
    ),
)
