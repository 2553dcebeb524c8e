"""Images of a list that are in a folder, for datasets of which people keep a part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wsml_study.data.text_lines import absent
from wsml_study.errors import DataError


def rows_there(folder: Path, names: Sequence[str], *, part: str, remedy: str) -> tuple[list[int], str | None]:
    """Rows whose images are there, and a notice if others are not.

    Args:
        folder: what the names are relative to.
        names: image files.
        part: what they are for, such as train.
        remedy: where the images come from, for the error.

    Raises:
        DataError: none of them is there.
    """
    missing = set(absent(folder, list(names)))
    if len(missing) == len(names):
        some = f", such as {names[0]}" if names else ""
        raise DataError(f"{folder}: none of the {len(names):,} images of {part} is there{some}; {remedy}")
    notice = f"{len(missing):,} of {len(names):,} images of {part} are not in {folder} and are left out"
    return [row for row, name in enumerate(names) if name not in missing], notice if missing else None
