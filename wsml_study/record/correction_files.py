"""Labels that a trial has corrected for good (LL-Cp): a Parquet file per trial in the study's folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_in_study
from wsml_study.record.storage import CORRECTIONS_FOLDER
from wsml_study.record.tables import VERSION

NAME = re.compile(r"trial_(\d+)\.parquet")


def _field(name: str, kind: pa.DataType, meaning: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning})


CORRECTIONS = pa.schema(
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
            "right", pa.bool_(), "whether the image shows the class; null if the dataset does not say", nullable=True
        ),
    ],
    metadata={"wsml_study.table": "corrections", "wsml_study.version": VERSION},
)
"""One row per label that is positive for good, by epoch. Grows by nullable columns."""


def write_corrections(filesystem: fs.FileSystem, folder: str, trial: int, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write a trial's file, replacing an earlier one.

    Args:
        filesystem: that holds the study.
        folder: of all such files of the study.
        trial: its number.
        columns: image, class, epoch and right, one entry per label.

    Raises:
        ResultsError: the folder cannot be written, or the study's folder around it is gone.
    """
    trials = [trial] * len(columns["image"])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"trial": trials, **columns}, schema=CORRECTIONS), sink, compression="zstd")
    write_in_study(filesystem, folder, f"trial_{trial:05d}.parquet", sink.getvalue().to_pybytes())


def trials_with_corrections(folder: Path) -> list[int]:
    """Numbers of the trials of a study whose corrections are kept."""
    names = (NAME.fullmatch(path.name) for path in (folder / CORRECTIONS_FOLDER).glob("*"))
    return sorted(int(name[1]) for name in names if name is not None)


def read_corrections_of(folder: Path, trial: int) -> pa.Table:
    """The labels that a trial of a study has corrected.

    Raises:
        ResultsError: the file is not there, or damaged.
    """
    path = folder / CORRECTIONS_FOLDER / f"trial_{trial:05d}.parquet"
    try:
        return pq.read_table(path).select(CORRECTIONS.names)
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise ResultsError(
            f"{path}: not a complete table of corrections ({error}); `wsml-study reproduce STUDY {trial}` writes it "
            f"again, in reproduced/trial_{trial}"
        ) from error
