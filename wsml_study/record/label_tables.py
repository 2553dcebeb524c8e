"""What trials made of training labels: a Parquet file per trial and kind in the study's folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_in_study
from wsml_study.record.storage import CORRECTIONS_FOLDER, DISTRUST_FOLDER
from wsml_study.record.tables import VERSION

NAME = re.compile(r"trial_(\d+)\.parquet")


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """A kind of these tables.

    Attributes:
        folder: of their files, in the study's.
        content: what is in them, for messages.
        schema: of their columns, the first of which is the trial's number. Grows by nullable columns.
        remedy: what to do about a damaged file.
    """

    folder: str
    content: str
    schema: pa.Schema
    remedy: str

    def write(self, filesystem: fs.FileSystem, folder: str, trial: int, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write a trial's file, replacing an earlier one.

        Args:
            filesystem: that holds the study.
            folder: of all such files of the study.
            trial: its number.
            columns: all but the first, one entry per label.

        Raises:
            ResultsError: the folder cannot be written, or the study's folder around it is gone.
        """
        trials = [trial] * len(columns["image"])
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"trial": trials, **columns}, schema=self.schema), sink, compression="zstd")
        write_in_study(filesystem, folder, f"trial_{trial:05d}.parquet", sink.getvalue().to_pybytes())

    def trials(self, study: Path) -> list[int]:
        """Numbers of the trials of a study, by its folder, that have a file."""
        names = (NAME.fullmatch(path.name) for path in (study / self.folder).glob("*"))
        return sorted(int(name[1]) for name in names if name is not None)

    def read(self, study: Path, trial: int) -> pa.Table:
        """The table of a trial of a study.

        Raises:
            ResultsError: the file is not there, or damaged.
        """
        path = study / self.folder / f"trial_{trial:05d}.parquet"
        try:
            return pq.read_table(path).select(self.schema.names)
        except (pa.ArrowInvalid, KeyError, OSError) as error:
            remedy = self.remedy.format(trial=trial)
            raise ResultsError(f"{path}: not a complete table of {self.content} ({error}); {remedy}") from error


def _field(name: str, kind: pa.DataType, meaning: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning})


CORRECTIONS = LabelTable(
    folder=CORRECTIONS_FOLDER,
    content="corrections",
    schema=pa.schema(
        [
            _field("trial", pa.int32(), "number of the trial"),
            _field("image", pa.string(), "name of the training image"),
            _field("class", pa.string(), "name of the class whose unobserved label became positive"),
            _field(
                "epoch",
                pa.int32(),
                "the epoch that corrected it, from 1; null if a checkpoint of an earlier release was between",
                nullable=True,
            ),
            _field(
                "right",
                pa.bool_(),
                "whether the image shows the class; null if the dataset does not say",
                nullable=True,
            ),
        ],
        metadata={"wsml_study.table": "corrections", "wsml_study.version": VERSION},
    ),
    remedy="`wsml-study reproduce STUDY {trial}` writes it again, in reproduced/trial_{trial}",
)
"""Labels that a trial has corrected for good (LL-Cp, MIME): a row per label that is positive since, by epoch."""

DISTRUSTED = LabelTable(
    folder=DISTRUST_FOLDER,
    content="distrusted labels",
    schema=pa.schema(
        [
            _field("trial", pa.int32(), "number of the trial"),
            _field("image", pa.string(), "name of the training image"),
            _field("class", pa.string(), "name of the class whose unobserved label was distrusted"),
            _field("epochs", pa.int32(), "in how many epochs it was distrusted"),
            _field("of", pa.int32(), "how many epochs the trial trained"),
        ],
        metadata={"wsml_study.table": "distrusted", "wsml_study.version": VERSION},
    ),
    remedy="delete it, and `audit` leaves the trial out; `wsml-study reproduce STUDY {trial}` writes it again, in "
    "reproduced/trial_{trial}",
)
"""How often a trial distrusted labels of the user's own data (LL-R, LL-Ct): a row per label that ever was."""
