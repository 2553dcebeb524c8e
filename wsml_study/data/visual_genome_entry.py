"""Visual Genome."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads
from wsml_study.options import TEXT, Option

RECORDS = (
    ReaderRecord(
        name="visual_genome",
        position=75,
        content="Visual Genome, objects as classes: VG-500, VG-200, or a list of classes such as VG-256's",
        layout="VG_100K/, VG_100K_2/, and SSGRL's lists or objects.json",
        reads=Reads.FOLDER,
        reader="wsml_study.data.visual_genome:read_visual_genome",
        options=(
            Option(
                key="class_list",
                meaning="a file with the names of the classes, one a line, aliases and synsets behind commas",
                limits=TEXT,
                computed="none; for objects.json it has to be given",
            ),
            Option(
                key="test_list",
                meaning="a file with the images to test on, one a line",
                limits=TEXT,
                computed="test_list_*.txt of SSGRL; for objects.json it has to be given",
            ),
        ),
    ),
)
