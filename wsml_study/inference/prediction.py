"""Prediction of many images, written to a table.

Shapes: B images of a batch, C classes.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from wsml_study.data.dataset import ImageFiles
from wsml_study.data.decoded_rows import resized_to
from wsml_study.data.image_store import picture_opener
from wsml_study.data.stored_file import Progress
from wsml_study.errors import DataError, ResultsError
from wsml_study.inference.decisions import UNDECIDED, WORDS, YES, Decider
from wsml_study.inference.model import load_model
from wsml_study.inference.picture_list import is_image, list_pictures
from wsml_study.inference.pictures import PixelBatch, read_batches
from wsml_study.inference.sheet_picks import Picks, check_sheet, write_sheet
from wsml_study.record.files import write_whole
from wsml_study.record.formats import aligned, csv_text

ENTRIES_PER_GROUP = 2**20
"""Least number of probabilities in a row group of Parquet, unless it has `MOST_ROWS`."""

MOST_ROWS = 4096
"""Rows that wait to be written. Small objects that live long keep the heap around them, which decoding has grown, from
being used again: without this limit memory rose by 10 MB per 1,000 images."""

MOST_SHOWN = 10
SUFFIXES = (".parquet", ".csv", ".json")


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Result of a prediction.

    Attributes:
        path: the table, a row per readable image: `image`, and a column per class; with decisions, as
            `predict_images` says. None if only a sheet was asked for.
        num_images: rows.
        num_others: files of the folder without the suffix of an image.
        unreadable: images that could not be read, and why.
        unreadable_path: a table of these; None if there are none.
        sheet: the contact sheet, if one was asked for.
        num_decided: class -> images decided yes, for classes with a threshold; None without decisions.
        without_threshold: classes without one.
    """

    path: Path | None
    num_images: int
    num_others: int
    unreadable: tuple[tuple[str, str], ...]
    unreadable_path: Path | None
    sheet: Path | None = None
    num_decided: dict[str, int] | None = None
    without_threshold: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The result as lines of text."""
        lines = [f"{path}: {self.num_images:,} images" for path in (self.path, self.sheet) if path is not None]
        if self.num_decided is not None:
            some = [f"{name} {number:,}" for name, number in self.num_decided.items() if number]
            lines.append(f"decided yes: {', '.join(some) or 'none'}")
        if without := self.without_threshold:
            lines.append(
                f"no threshold, and so not decided: {', '.join(without[:MOST_SHOWN])}"
                f"{f' and {len(without) - MOST_SHOWN:,} more' if len(without) > MOST_SHOWN else ''}"
            )
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
    output: Path | None,
    *,
    decide: bool = False,
    sheet: Path | None = None,
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
        output: a .parquet, .csv or .json file; None with a sheet only.
        decide: add a column with the calibrated probability per class, and one with `yes`, `no` or `no threshold`.
        sheet: an .html, .png or .jpg file for a contact sheet of what was decided.
        batch_size: images per batch; by default as in training.
        overwrite: replace earlier files.
        device: as `load_model`.
        progress: called with the images done and their total.

    Raises:
        ResultsError: there is no model, or a file is of another kind, exists, or cannot be written; decisions or a
            sheet are asked for, and the model has no thresholds, or damaged ones.
        DataError: there is no image, or none can be read.
        ValueError: neither an output nor a sheet is given.
    """
    first = output or sheet
    if first is None:
        raise ValueError("expected an output or a sheet, got neither")
    unreadable_path = first.with_name(f"{first.stem}.unreadable.csv")
    _check_outputs(output, sheet, unreadable_path, overwrite=overwrite)
    pictures = list_pictures(images, root)
    model = load_model(model_folder, device=device)
    decider = model.decider() if decide or sheet is not None else None
    source = ImageFiles(folder=pictures.root, names=pictures.names, pixel_range=model.pixel_range)
    batches = read_batches(
        resized_to(model.image_size, picture_opener(source), model.interpolation),
        len(pictures.names),
        size=model.image_size,
        channels=model.channels,
        batch_size=batch_size or model.batch_size,
    )
    unreadable: list[tuple[str, str]] = []
    picks = None if decider is None else Picks(decider)
    with _table_writer(output, model.classes, decider if decide else None) as write:
        for batch in _counted(batches, len(pictures.names), progress):
            probabilities_BC = model.probabilities(batch.images_BcHW)
            write([pictures.names[row] for row in batch.rows], probabilities_BC)
            if picks is not None:
                picks.add(batch.rows, probabilities_BC)
            unreadable += [(pictures.names[row], reason) for row, reason in batch.unreadable]
        if len(unreadable) == len(pictures.names):
            name, reason = unreadable[0]
            raise DataError(
                f"{pictures.root}: none of {len(unreadable):,} images can be read; the first is {name}: {reason}"
            )
    if sheet is not None and picks is not None:
        write_sheet(sheet, picks, source, model=model.name)
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
        sheet=sheet,
        num_decided=None if picks is None else picks.num_decided(),
        without_threshold=() if picks is None else tuple(rule.name for rule in picks.decider.rules.without),
    )


def predict_one(model_folder: Path, image: Path, *, decide: bool = False, device: str = "auto") -> list[str]:
    """The probabilities of one image as lines for people, the most likely class first.

    Args:
        model_folder: of the model.
        image: a file.
        decide: add calibrated probabilities and decisions, and put what was decided first.
        device: as `load_model`.

    Raises:
        ResultsError: there is no model; or no thresholds, or damaged ones, to decide by.
        DataError: the image is not there or cannot be read, or it is a folder or a list.
    """
    pictures = list_pictures(image, None)
    if pictures.names != (image.name,) or not is_image(image):
        raise DataError(f"{image}: several images need an output file: give -o with a .parquet, .csv or .json file")
    model = load_model(model_folder, device=device)
    decider = model.decider() if decide else None
    probabilities_1C = model.predict([image])
    shown = {"probability": probabilities_1C[0]}
    if decider is not None:
        shown["calibrated"] = decider.calibrated(probabilities_1C)[0]
        decisions_C = decider.decisions(probabilities_1C)[0]
        order = np.lexsort((-shown["calibrated"], decisions_C == UNDECIDED, decisions_C != YES))
    else:
        order = np.argsort(-shown["probability"], kind="stable")
    columns = {"class": [model.classes[column] for column in order]}
    columns |= {name: [f"{values_C[column]:.4f}" for column in order] for name, values_C in shown.items()}
    columns |= {} if decider is None else {"decision": [WORDS[int(decisions_C[column])] for column in order]}
    return aligned(columns)


def _check_outputs(output: Path | None, sheet: Path | None, unreadable_path: Path, *, overwrite: bool) -> None:
    if output is not None and output.suffix not in SUFFIXES:
        raise ResultsError(f"{output}: expected a file that ends in .parquet, .csv or .json")
    if sheet is not None:
        check_sheet(sheet)
    for path in (output, sheet, unreadable_path):
        if path is not None and path.exists() and not overwrite:
            raise ResultsError(f"{path} exists; name another file, or replace it with --overwrite")


def _counted(batches: Iterator[PixelBatch], total: int, progress: Progress) -> Iterator[PixelBatch]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch.rows) + len(batch.unreadable)
        progress(done, total)


WriteRows: TypeAlias = Callable[[list[str], npt.NDArray[np.float64]], None]


@contextmanager
def _table_writer(output: Path | None, classes: tuple[str, ...], decider: Decider | None) -> Iterator[WriteRows]:
    """A function that adds rows; the file appears only if the block ends without an error. Without a file, a no-op."""
    if output is None:
        yield _write_nothing
        return
    cell = csv_text if output.suffix == ".csv" else str
    schema = _schema(classes, cell, decides=decider is not None)
    temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex}.tmp")
    waiting: list[pa.RecordBatch] = []

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with _open_writer(temporary, schema, output.suffix) as writer:

            def flush() -> None:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting.clear()

            def write(names: list[str], probabilities_BC: npt.NDArray[np.float64]) -> None:
                columns = [pa.array(map(cell, names), pa.string()), *_columns(probabilities_BC, decider)]
                waiting.append(pa.record_batch(columns, schema=schema))
                num_rows = sum(batch.num_rows for batch in waiting)
                if num_rows * len(classes) >= ENTRIES_PER_GROUP or num_rows >= MOST_ROWS:
                    flush()

            yield write
            flush()
        temporary.replace(output)
    except OSError as error:
        raise ResultsError(f"{output}: {error.strerror or error}; make room or name another file") from error
    finally:
        temporary.unlink(missing_ok=True)


def _write_nothing(names: list[str], probabilities_BC: npt.NDArray[np.float64]) -> None:
    pass


def _schema(classes: tuple[str, ...], cell: Callable[[str], str], *, decides: bool) -> pa.Schema:
    """`image` and the classes; of decisions also `CLASS calibrated` and `CLASS decision`."""
    probability = {"unit": "probability"}
    fields = [pa.field(_free("image", "_file", classes), pa.string(), nullable=False)]
    fields += [pa.field(cell(name), pa.float64(), nullable=False, metadata=probability) for name in classes]
    if decides:
        of_calibrated, of_decision = (_free(f"{{}} {what}", "_", classes) for what in ("calibrated", "decision"))
        names = [(of_calibrated.format(name), of_decision.format(name)) for name in map(cell, classes)]
        fields += [pa.field(name, pa.float64(), nullable=False, metadata=probability) for name, _ in names]
        fields += [pa.field(name, pa.string(), nullable=False) for _, name in names]
    return pa.schema(fields, metadata={"wsml_study.table": "predictions", "wsml_study.version": "1"})


def _free(pattern: str, suffix: str, classes: tuple[str, ...]) -> str:
    """A column's name, or a pattern of names, with a suffix while a class is called so."""
    while {pattern.format(name) for name in classes} & set(classes):
        pattern += suffix
    return pattern


def _columns(probabilities_BC: npt.NDArray[np.float64], decider: Decider | None) -> list[pa.Array]:
    columns = [pa.array(column_B) for column_B in probabilities_BC.T]
    if decider is not None:
        columns += [pa.array(column_B) for column_B in decider.calibrated(probabilities_BC).T]
        columns += [
            pa.array([WORDS[decision] for decision in column_B], pa.string())
            for column_B in decider.decisions(probabilities_BC).T.tolist()
        ]
    return columns


class _JsonWriter:
    """Writes tables as one JSON list with an object per row."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._before = "[\n"

    def __enter__(self) -> Self:
        return self

    def write_table(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            self._file.write(f"{self._before}{json.dumps(row)}")
            self._before = ",\n"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._file.write("\n]\n")


def _open_writer(path: Path, schema: pa.Schema, suffix: str) -> pq.ParquetWriter | pyarrow.csv.CSVWriter | _JsonWriter:
    match suffix:
        case ".csv":
            return pyarrow.csv.CSVWriter(path, schema)
        case ".json":
            return _JsonWriter(path)
        case _:
            return pq.ParquetWriter(path, schema, compression="zstd")


def _csv(rows: list[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([csv_text(name), csv_text(reason)] for name, reason in rows)
    return text.getvalue().encode()
