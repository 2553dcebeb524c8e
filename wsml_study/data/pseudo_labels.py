"""Scores of training images by class from outside, such as a vision-language model's: `data.pseudo_labels`.

Shapes: N images of a training split, C classes.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from wsml_study.errors import DataError

Scores = npt.NDArray[np.float32]

KEY = "data.pseudo_labels"
SHOWN = 3


def read_pseudo_scores(file: str, classes: tuple[str, ...], names: tuple[str, ...]) -> Scores:
    """Scores (N, C) float32 in [0, 1] of these images, read once per file and dataset.

    The table has an image in its first column and a class in each of the columns that are called so; other columns and
    images are left alone. Images are named as the dataset names them, or by paths that end in these names.

    Args:
        file: .csv or .parquet, relative to where the command runs.
        classes: C names.
        names: of the N images.

    Raises:
        DataError: the file is missing or malformed, or lacks a class, an image or a score.
    """
    return _read(str(Path(file).absolute()), classes, names)


@lru_cache(maxsize=2)
def _read(file: str, classes: tuple[str, ...], names: tuple[str, ...]) -> Scores:
    table = _table(Path(file))
    if missing := [name for name in classes if name not in table.column_names[1:]]:
        raise DataError(
            f"{KEY}: {file} has no column {_shown(missing)}; expected the image in the first column and one column per "
            f"class, and it has {_shown(table.column_names[1:])}"
        )
    rows_N = _rows_of(file, [str(name) for name in table.column(0).to_pylist()], names)
    scores_NC = np.stack([_column(file, table, name) for name in classes], axis=1)[rows_N]
    if (wrong_NC := ~((scores_NC >= 0) & (scores_NC <= 1))).any():  # NaN is neither
        row, column = np.argwhere(wrong_NC)[0]
        raise DataError(
            f"{KEY}: {file}: expected scores from 0 to 1, got {scores_NC[row, column]:g} for {classes[column]} in "
            f"{names[row]}"
        )
    scores_NC.flags.writeable = False
    return scores_NC


def _table(file: Path) -> pa.Table:
    if file.suffix not in (".csv", ".parquet"):
        raise DataError(f"{KEY}: expected a .csv or .parquet file, got {file}")
    try:
        table = pyarrow.csv.read_csv(file) if file.suffix == ".csv" else pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{KEY}: {file} cannot be read: {error}") from error
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if repeated:
        raise DataError(f"{KEY}: {file} has several columns {_shown(repeated)}")
    return table


def _column(file: str, table: pa.Table, name: str) -> Scores:
    try:
        scores: Scores = table.column(name).cast(pa.float32()).to_numpy()
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{KEY}: {file}: column {name}: expected numbers from 0 to 1; {error}") from error
    return scores


def _rows_of(file: str, listed: list[str], names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The row of each image: by its name, or by the last part of a path where no image is called like the whole."""
    wanted = set(names)
    if wanted.isdisjoint(listed):
        listed = [PurePosixPath(name).name for name in listed]
    rows: dict[str, int] = {}
    for row, name in enumerate(listed):
        if name in wanted and rows.setdefault(name, row) != row:
            raise DataError(f"{KEY}: {file} has several rows for the image {name}")
    if absent := [name for name in names if name not in rows]:
        raise DataError(
            f"{KEY}: {file} lacks {len(absent):,} of {len(names):,} training images: {_shown(absent)}; its rows are of "
            f"{_shown(listed)}"
        )
    return np.array([rows[name] for name in names], dtype=np.int64)


def _shown(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
