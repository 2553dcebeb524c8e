"""NUS-WIDE."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads
from wsml_study.options import Option, one_of

RECORDS = (
    ReaderRecord(
        name="nuswide",
        position=60,
        content="NUS-WIDE, 81 concepts",
        layout="official lists or formatted_*.npy, photos in Flickr/ or images/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.nuswide:read_nuswide",
        options=(
            Option(
                key="release",
                meaning="which lists of images and labels",
                limits=one_of(
                    official="the lists of its authors",
                    recrawled="the formatted_*.npy files of Cole et al., CVPR 2021, which published numbers come from",
                ),
                computed="recrawled where the folder has formatted_train_images.npy",
            ),
        ),
    ),
)
