"""ImageNet with multi-label test images."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads
from wsml_study.options import Limits, Option, one_of

RECORDS = (
    ReaderRecord(
        name="imagenet_multilabel",
        position=89,
        content="ImageNet-1K, one positive per training image, multi-labels of validation images",
        layout="train/<wnid>/, val/, real.json or human_accuracy_*.json, LOC_synset_mapping.txt",
        reads=Reads.FOLDER,
        reader="wsml_study.data.imagenet_multilabel:read_imagenet_multilabel",
        keeps_labels=True,
        options=(
            Option(
                key="multilabels",
                meaning="whose labels test images have",
                limits=one_of(real="ReaL, of Beyer et al., 2020", shankar="of Shankar et al., 2020"),
                default="real",
            ),
            Option(
                key="judged_validation",
                meaning="share of the images with multi-labels that validate; with 0, images of train do",
                limits=Limits(most=1, without_most=True),
                default=0.2,
            ),
        ),
    ),
)
