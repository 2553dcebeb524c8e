"""CheXpert."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads
from wsml_study.options import Option, one_of

RECORDS = (
    ReaderRecord(
        name="chexpert",
        position=84,
        content="CheXpert, 223,414 + 234 chest X-rays by patients, 14 observations, partial labels",
        layout="train.csv, valid.csv, train/, valid/",
        reads=Reads.FOLDER,
        reader="wsml_study.data.chexpert:read_chexpert",
        keeps_labels=True,
        options=(
            Option(
                key="uncertain",
                meaning="what a label is that the report leaves open (-1)",
                limits=one_of(unobserved="U-Ignore", positive="U-Ones", negative="U-Zeros"),
                default="unobserved",
            ),
            Option(
                key="not_mentioned",
                meaning="what a label is that the report does not mention (blank)",
                limits=one_of(
                    unobserved="",
                    negative="as the authors' models have it",
                    negative_if_no_finding="negative in images with No Finding, but for support devices",
                ),
                default="unobserved",
            ),
            Option(
                key="observations",
                meaning="which observations are classes",
                limits=one_of(all="all 14", competition="the five that the competition evaluates"),
                default="all",
            ),
            Option(
                key="views",
                meaning="which images are used",
                limits=one_of(all="", frontal="those from the front or the back, none from the side"),
                default="all",
            ),
        ),
    ),
)
