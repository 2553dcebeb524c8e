"""Prediction of many images, written to a table.

Shapes: B images of a batch, C classes.
"""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from wsml_study.data.dataset import ImageFiles
from wsml_study.data.image_store import picture_opener
from wsml_study.data.stored_file import Progress
from wsml_study.errors import DataError, ResultsError
from wsml_study.inference.model import load_model
from wsml_study.inference.picture_list import is_image, list_pictures
from wsml_study.inference.pictures import PixelBatch, read_batches
from wsml_study.record.files import write_whole
from wsml_study.record.formats import aligned, csv_text

ENTRIES_PER_GROUP = 2**20
"""Least number of probabilities in a row group of Parquet."""

MOST_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Result of a prediction.

    Attributes:
        path: the table, a row per readable image: `image`, and a column per class.
        num_images: rows.
        num_others: files of the folder without the suffix of an image.
        unreadable: images that could not be read, and why.
        unreadable_path: a table of these; None if there are none.
    """

    path: Path
    num_images: int
    num_others: int
    unreadable: tuple[tuple[str, str], ...]
    unreadable_path: Path | None

    def lines(self) -> list[str]:
        """The result as lines of text."""
        lines = [f"{self.path}: {self.num_images:,} images"]
        if self.num_others:
            lines.append(f"{self.num_others:,} other files of the folder have no suffix of an image and were left out")
        if self.unreadable:
            lines.append(
                f"{len(self.unreadable):,} images could not be read; they are listed in {self.unreadable_path}"
            )
            lines += [f"  {name}: {reason}" for name, reason in self.unreadable[:MOST_SHOWN]]
            left_out = len(self.unreadable) - MOST_SHOWN
            lines += [f"  ... and {left_out:,} more"] if left_out > 0 else []
        return lines


def predict_images(
    model_folder: Path,
    images: Path,
    output: Path,
    *,
    root: Path | None = None,
    batch_size: int | None = None,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress,
) -> Predictions:
    """Write the probabilities of every readable image to a table; on an error no partial table is left.

    Args:
        model_folder: of the model.
        images, root: as `list_pictures`.
        output: a .parquet or .csv file.
        batch_size: images per batch; by default as in training.
        overwrite: replace an earlier table.
        device: as `load_model`.
        progress: called with the images done and their total.

    Raises:
        ResultsError: there is no model, or the file is of another kind, exists, or cannot be written.
        DataError: there is no image, or none can be read.
    """
    unreadable_path = output.with_name(f"{output.stem}.unreadable.csv")
    _check_output(output, unreadable_path, overwrite=overwrite)
    pictures = list_pictures(images, root)
    model = load_model(model_folder, device=device)
    batches = read_batches(
        picture_opener(ImageFiles(folder=pictures.root, names=pictures.names, pixel_range=model.pixel_range)),
        len(pictures.names),
        size=model.image_size,
        channels=model.channels,
        batch_size=batch_size or model.batch_size,
    )
    unreadable: list[tuple[str, str]] = []
    with _table_writer(output, model.classes) as write:
        for batch in _counted(batches, len(pictures.names), progress):
            write([pictures.names[row] for row in batch.rows], model.probabilities(batch.images_BcHW))
            unreadable += [(pictures.names[row], reason) for row, reason in batch.unreadable]
        if len(unreadable) == len(pictures.names):
            name, reason = unreadable[0]
            raise DataError(
                f"{pictures.root}: none of {len(unreadable):,} images can be read; the first is {name}: {reason}"
            )
    if unreadable:
        write_whole(unreadable_path, _csv([("image", "reason"), *unreadable]))
    else:
        unreadable_path.unlink(missing_ok=True)
    return Predictions(
        path=output,
        num_images=len(pictures.names) - len(unreadable),
        num_others=pictures.num_others,
        unreadable=tuple(unreadable),
        unreadable_path=unreadable_path if unreadable else None,
    )


def predict_one(model_folder: Path, image: Path, *, device: str = "auto") -> list[str]:
    """The probabilities of one image as lines for people, the most likely class first.

    Raises:
        ResultsError: there is no model.
        DataError: the image is not there or cannot be read, or it is a folder or a list.
    """
    pictures = list_pictures(image, None)
    if pictures.names != (image.name,) or not is_image(image):
        raise DataError(f"{image}: several images need an output file: give -o with a .parquet or .csv file")
    model = load_model(model_folder, device=device)
    probabilities_C = model.predict([image])[0]
    order = np.argsort(-probabilities_C, kind="stable")
    return aligned(
        {
            "class": [model.classes[column] for column in order],
            "probability": [f"{probabilities_C[column]:.4f}" for column in order],
        }
    )


def _check_output(output: Path, unreadable_path: Path, *, overwrite: bool) -> None:
    if output.suffix not in (".parquet", ".csv"):
        raise ResultsError(f"{output}: expected a file that ends in .parquet or .csv")
    for path in (output, unreadable_path):
        if path.exists() and not overwrite:
            raise ResultsError(f"{path} exists; name another file, or replace it with --overwrite")


def _counted(batches: Iterator[PixelBatch], total: int, progress: Progress) -> Iterator[PixelBatch]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch.rows) + len(batch.unreadable)
        progress(done, total)


WriteRows: TypeAlias = Callable[[list[str], npt.NDArray[np.float64]], None]


@contextmanager
def _table_writer(output: Path, classes: tuple[str, ...]) -> Iterator[WriteRows]:
    """A function that adds rows; the file appears only if the block ends without an error."""
    image = "image"
    while image in classes:
        image += "_file"
    cell = csv_text if output.suffix == ".csv" else str
    fields = [pa.field(image, pa.string(), nullable=False)]
    fields += [pa.field(cell(name), pa.float64(), nullable=False, metadata={"unit": "probability"}) for name in classes]
    schema = pa.schema(fields, metadata={"wsml_study.table": "predictions", "wsml_study.version": "1"})
    temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex}.tmp")
    waiting: list[pa.RecordBatch] = []

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with _open_writer(temporary, schema, output.suffix) as writer:

            def flush() -> None:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting.clear()

            def write(names: list[str], probabilities_BC: npt.NDArray[np.float64]) -> None:
                columns = [
                    pa.array(map(cell, names), pa.string()),
                    *(pa.array(column_B) for column_B in probabilities_BC.T),
                ]
                waiting.append(pa.record_batch(columns, schema=schema))
                if sum(batch.num_rows for batch in waiting) * len(classes) >= ENTRIES_PER_GROUP:
                    flush()

            yield write
            flush()
        temporary.replace(output)
    except OSError as error:
        raise ResultsError(f"{output}: {error.strerror or error}; make room or name another file") from error
    finally:
        temporary.unlink(missing_ok=True)


def _open_writer(path: Path, schema: pa.Schema, suffix: str) -> pq.ParquetWriter | pyarrow.csv.CSVWriter:
    if suffix == ".csv":
        return pyarrow.csv.CSVWriter(path, schema)
    return pq.ParquetWriter(path, schema, compression="zstd")


def _csv(rows: list[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([csv_text(name), csv_text(reason)] for name, reason in rows)
    return text.getvalue().encode()
