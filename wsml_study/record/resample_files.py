"""AP per class in resamples of the test images: a Parquet file per confirmed trial in the confirmation's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_in_study
from wsml_study.record.storage import RESAMPLES_FOLDER
from wsml_study.record.tables import VERSION


def write_resamples(
    filesystem: fs.FileSystem, folder: str, trial: int, classes: tuple[str, ...], ap_RC: npt.NDArray[np.float32]
) -> None:
    """Write a trial's file, replacing an earlier one: a row per resample, a column per class.

    Args:
        filesystem: that holds the study.
        folder: of all such files of the study.
        trial: its number.
        classes: names of the C classes.
        ap_RC: AP in each of R resamples, percent, NaN where there is none.

    Raises:
        ResultsError: the folder cannot be written, or the study's folder around it is gone.
    """
    metadata = {"wsml_study.table": "test_resamples", "wsml_study.version": VERSION, "wsml_study.trial": str(trial)}
    table = pa.table([pa.array(ap_R) for ap_R in ap_RC.T], names=list(classes)).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    write_in_study(filesystem, folder, _name(trial), sink.getvalue().to_pybytes())


def read_resamples(folder: Path, trial: int) -> npt.NDArray[np.float32] | None:
    """AP (R, C) of a trial in resamples of the test images, percent; None if it has no such file.

    Args:
        folder: of the confirmation.
        trial: its number there.

    Raises:
        ResultsError: the file is damaged.
    """
    path = folder / RESAMPLES_FOLDER / _name(trial)
    if not path.exists():
        return None
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ResultsError(
            f"{path}: not a complete table of resamples ({error}); delete it, and intervals leave test images out"
        ) from error
    return np.column_stack([column.to_numpy() for column in table.columns])


def _name(trial: int) -> str:
    return f"trial_{trial:05d}.parquet"
