"""Which images to predict: one file, those of a folder, of a list, or of a table's first column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from wsml_study.data.hub_files import local_path
from wsml_study.data.pixels import image_suffixes, irregular
from wsml_study.data.table import listed_images
from wsml_study.data.text_lines import numbered_lines
from wsml_study.errors import DataError

TABLES = (".csv", ".tsv", ".parquet")
HEAD = 512
"""Bytes read to distinguish an image from text."""

PIPES = (Path("/dev/fd"), Path("/proc/self/fd"))
"""Where a shell provides the output of `<(command)`, which is a pipe and no regular file."""

CLASS_NUMBERS = re.compile(r",[\s\d]*$")
"""Class numbers, which a list has for `evaluate`; `predict` ignores them."""


@dataclass(frozen=True, kw_only=True)
class PictureList:
    """Image files.

    Attributes:
        root: what the names are relative to.
        names: of the files, as the list has them.
        num_others: files of a folder that are left out, since their suffix is not that of an image.
    """

    root: Path
    names: tuple[str, ...]
    num_others: int = 0


def list_pictures(source: Path, root: Path | None) -> PictureList:
    """One image, those of a folder and the folders below it, sorted by name, or those of a list or table, in its order.

    Args:
        source: an image file; a folder; a .csv, .tsv or .parquet table, whose first column names the images,
            or whose only column of images holds them; or any
            other text file, which names one a line.
        root: what the names of a list are relative to; its own folder if None.

    Raises:
        DataError: there is nothing there, or no image in it, or it is a device or the like.
    """
    source = local_path(source)
    if source.is_dir():
        found = _in_folder(source)
    elif not source.exists():
        raise DataError(f"{source}: there is no such image, folder or list of images")
    elif (kind := irregular(source.stat().st_mode)) is not None and source.parent not in PIPES:
        raise DataError(f"{source}: expected an image, a folder or a list of images, got {kind}")
    elif is_image(source):
        return PictureList(root=source.parent, names=(source.name,))
    else:
        folder, names = listed_images(source) if source.suffix in TABLES else (None, _lines(source))
        found = PictureList(root=folder or root or source.parent, names=tuple(names))
    if not found.names:
        others = f"; {found.num_others:,} files have other suffixes" if found.num_others else ""
        raise DataError(f"{source}: expected images, found none{others}")
    return found


def is_image(file: Path) -> bool:
    """Whether a regular file is one image: by its suffix, or, without one of a table, since text holds no zero byte."""
    if file.suffix.lower() in image_suffixes():
        return True
    if file.suffix in TABLES or not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            return b"\0" in opened.read(HEAD)
    except OSError:
        return False  # reading the list fails with the reason


def _in_folder(folder: Path) -> PictureList:
    suffixes = image_suffixes()
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = tuple(str(path) for path in files if path.suffix.lower() in suffixes)
    return PictureList(root=folder, names=names, num_others=len(files) - len(names))


def _lines(file: Path) -> list[str]:
    lines = numbered_lines(file, remedy="name a folder, or a list of images, one a line")
    return [CLASS_NUMBERS.sub("", line).strip() for _, line in lines]
