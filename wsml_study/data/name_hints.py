"""Why a name is not where it should be, such as an image in its folder: what is there instead, by cause."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

MOST_FILES = 300_000
"""Files of a folder that are looked at for hints."""

Form = Callable[[str], str]


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


CAUSES: tuple[tuple[str, Form], ...] = (
    ("names are written with \\ between folders", _slashes),
    ("names are in another Unicode form: NFC here, NFD there", lambda name: _nfc(_slashes(name))),
    ("names differ in upper and lower case", lambda name: _folded(_slashes(name))),
    ("names differ in their suffix, or have none", lambda name: _stem(_folded(_slashes(name)))),
    ("names differ in their folder", lambda name: _last(_folded(_slashes(name)))),
    ("names differ in folder and suffix", lambda name: _last(_stem(_folded(_slashes(name))))),
)
"""From the smallest difference to the largest: names that agree in this form are meant to be the same."""


def files_of(root: Path) -> list[str]:
    """Files of a folder and of those below it, relative to it; at most MOST_FILES."""
    return list(islice(_files(root), MOST_FILES))


def explained(missing: Iterable[str], there: Collection[str]) -> Iterator[tuple[str, str | None, str | None]]:
    """For each name that is not there: it, what is there instead, and how the two differ; None if nothing fits.

    Where several names would fit, none is given.
    """
    indexes: dict[str, dict[str, list[str]]] = {}
    for cause, form in CAUSES:
        index = indexes.setdefault(cause, defaultdict(list))
        for name in there:
            index[form(name)].append(name)
    for name in missing:
        for cause, form in CAUSES:
            if len(found := indexes[cause].get(form(name), [])) == 1:
                yield name, found[0], cause
                break
        else:
            yield name, None, None


def _files(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        parent = os.path.relpath(folder, root)
        for name in names:
            yield name if parent == "." else f"{parent}/{name}"
