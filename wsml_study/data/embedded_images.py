"""Images whose files are cells of Parquet tables, as Hugging Face has them: unpacked once into a folder of the cache.

From there on they are image files like all others, which every command reads, through the one decoder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from wsml_study.data.problem_list import LONGEST_NAME, Problems
from wsml_study.data.stored_file import default_cache_dir, made_once, writable_by_others, writing
from wsml_study.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
"""Part of every folder's name. Raise it when the same table would be unpacked in another way."""

WHAT = "unpacked images"
LIST = "names.json"
"""Written last: where it is, every image is."""

CELLS_AT_A_TIME = 64
SUFFIXES = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"GIF8": ".gif",
    b"RIFF": ".webp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"BM": ".bmp",
}
"""How image files begin, and the suffix for those whose cell has no name."""


@dataclass(frozen=True, kw_only=True)
class UnpackedImages:
    """Images of a column, a file each.

    Attributes:
        folder: what the names are relative to.
        names: a file for each row of the tables, in order.
    """

    folder: Path
    names: tuple[str, ...]


def unpacked_images(tables: Sequence[Path], column: str) -> UnpackedImages:
    """The images of a column, unpacked now if never before.

    A name is that of the table's file and that of the image in it, or its row where the cells have no names. Files get
    the time of change of their table, so that the image store knows them again.

    Args:
        tables: Parquet files, in order.
        column: of bytes, or of records {bytes, path}.

    Raises:
        DataError: a cell has no bytes, a table cannot be read, or the folder cannot be written or is another user's.
    """
    folder = default_cache_dir() / f"unpacked-{_fingerprint(tables, column)}"
    stored = folder / LIST
    made_once(stored, partial(_unpack, tables, column, stored), what=WHAT)
    if (reason := writable_by_others(stored)) is not None:
        raise DataError(f"{folder}: {reason}; have it deleted, or set WSML_CACHE to a folder of your own")
    return UnpackedImages(folder=folder, names=tuple(json.loads(stored.read_text(encoding="utf-8"))))


def holds_images(kind: pa.DataType) -> bool:
    """Whether a column's cells can be image files: bytes, or records with `bytes`."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_bytes(kind.field("bytes").type)
    return _is_bytes(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _fingerprint(tables: Sequence[Path], column: str) -> str:
    """Stands for everything that decides the files; of a table, its size and time of change stand for its content."""
    digest = hashlib.sha256(f"{VERSION}\0{column}".encode())
    for table in tables:
        status = table.stat()
        digest.update(f"\0{table.resolve()}\0{status.st_size} {status.st_mtime_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _unpack(tables: Sequence[Path], column: str, stored: Path) -> None:
    names: list[str] = []
    problems = Problems()
    with writing(stored, WHAT):
        for table in tables:
            names += _unpack_one(table, column, stored.parent, problems)
        if problems:
            raise problems.error(tables[0] if len(tables) == 1 else tables[0].parent)
        unfinished = stored.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(names), encoding="utf-8")
        unfinished.replace(stored)


def _unpack_one(table: Path, column: str, folder: Path, problems: Problems) -> list[str]:
    changed = table.stat().st_mtime_ns
    home = _home(table)
    (folder / home).mkdir(parents=True, exist_ok=True)
    paths = [path for _, path in _cells(table, column, "path")]
    own_names = _own_names(paths)
    names = []
    for row, (content, _) in enumerate(_cells(table, column, "bytes")):
        if not content:
            problems.add(
                "cells without an image",
                f"{table.name}: row {row}: {column}: expected the bytes of an image file, got none",
                remedy="take these rows out of the table, or write the images' bytes into it",
            )
            continue
        name = f"{home}/{own_names[row] if own_names else f'{row:06d}{_suffix(content)}'}"
        (folder / name).write_bytes(content)
        os.utime(folder / name, ns=(changed, changed))
        names.append(name)
    return names


def _cells(table: Path, column: str, part: str) -> Iterator[tuple[bytes | None, str | None]]:
    """Bytes and path of each cell; only the part that is asked for is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(table) as file:
            kind = file.schema_arrow.field(column).type
            is_record = pa.types.is_struct(kind)
            if part == "path" and not (is_record and kind.get_field_index("path") >= 0):
                yield from ((None, None) for _ in range(file.metadata.num_rows))
                return
            columns = [f"{column}.{part}"] if is_record else [column]
            for batch in file.iter_batches(batch_size=CELLS_AT_A_TIME, columns=columns):
                for cell in batch.column(0).to_pylist():
                    yield _parts(cell)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{table}: cannot be read as Parquet: {error}") from error


def _parts(cell: Any) -> tuple[bytes | None, str | None]:
    return (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)


def _home(table: Path) -> str:
    """The folder for a table's images; tables that are only numbered are told apart by their own folder."""
    return f"{table.parent.name}/{table.stem}" if table.stem.isdecimal() else table.stem


def _own_names(paths: Sequence[str | None]) -> list[str] | None:
    """Names of the images in their cells; None unless each has one that can be a file's, and no two the same."""
    names = [PurePosixPath(path or "").name for path in paths]
    usable = all(name.isprintable() and 0 < len(name.encode()) <= LONGEST_NAME and name != ".." for name in names)
    return names if usable and len({name.casefold() for name in names}) == len(names) else None


def _suffix(content: bytes) -> str:
    return next((suffix for start, suffix in SUFFIXES.items() if content.startswith(start)), "")
