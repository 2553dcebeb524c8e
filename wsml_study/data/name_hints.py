"""Why a name is not where another file says: which of the names that are there is meant, by cause."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

MOST_FILES = 300_000
"""Files of a folder that are looked at for hints."""

IMAGE_SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".png",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".jp2",
        ".ppm",
        ".pgm",
        ".heic",
        ".heif",
        ".avif",
    )
)
Form = Callable[[str], str]
LABEL_STUDIO_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""Which it puts before the names of uploaded files."""


def _slashes(name: str) -> str:
    return name.replace("\\", "/")


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _nfc(_nfc(name).casefold())


def _stem(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    stem, dot, suffix = last.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem and len(suffix) <= 4 else last}"


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _readable(name: str) -> str:
    """Without what is not seen: marks of direction, zero-width blanks."""
    return "".join(one for one in unquote(name).split("?")[0] if unicodedata.category(one) != "Cf").strip()


def _uploaded(name: str) -> str:
    return LABEL_STUDIO_PREFIX.sub("", _last(_folded(_slashes(_readable(name)))))


def _numbered(name: str) -> str:
    stem = _last(_stem(_folded(_slashes(name))))
    return stem.lstrip("0") if stem.isdecimal() else stem


CAUSES: tuple[tuple[str, Form], ...] = (
    ("names are written with \\ between folders", _slashes),
    ("names are in another Unicode form: NFC here, NFD there", lambda name: _nfc(_slashes(name))),
    ("names differ in upper and lower case", lambda name: _folded(_slashes(name))),
    ("names differ in their suffix, or have none", lambda name: _stem(_folded(_slashes(name)))),
    ("names differ in their folder", lambda name: _last(_folded(_slashes(name)))),
    ("names differ in folder and suffix", lambda name: _last(_stem(_folded(_slashes(name))))),
    ("names are written as in addresses, or hold invisible characters", lambda name: _last(_folded(_readable(name)))),
    ("names have the prefix of Label Studio's uploads", _uploaded),
    ("names have lost their leading zeros, as in a spreadsheet", _numbered),
)
"""From the smallest difference to the largest: names that agree in this form are meant to be the same."""


def is_image_name(text: str) -> bool:
    """Whether a name ends as those of images do."""
    return Path(text.strip()).suffix.lower() in IMAGE_SUFFIXES


def explained(missing: Iterable[str], there: Iterable[str]) -> Iterator[tuple[str, str | None, str | None]]:
    """For each name that is not there: it, what is there instead, and how the two differ; None if nothing fits.

    Where several would fit, images are preferred to other files, and of several images none is named.
    """
    there = list(there)
    indexes: dict[str, dict[str, list[str]]] = {}
    for cause, form in CAUSES:
        index = indexes.setdefault(cause, defaultdict(list))
        for name in there:
            index[form(name)].append(name)
    for name in missing:
        for cause, form in CAUSES:
            found = indexes[cause].get(form(name), [])
            if len(found) > 1:
                found = [one for one in found if is_image_name(one)]
            if len(found) == 1:
                yield name, found[0], cause
                break
        else:
            yield name, None, None


def files_below(root: Path) -> Iterator[str]:
    """Names of the files in a folder and in those below it, relative to it; the first 300,000."""
    return islice(_files(root), MOST_FILES)


def _files(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        parent = os.path.relpath(folder, root)
        for name in names:
            yield name if parent == "." else f"{parent}/{name}"
