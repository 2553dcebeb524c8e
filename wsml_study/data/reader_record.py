"""What every dataset reader says of itself, and all of them by name; no numpy here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from wsml_study.options import Option
from wsml_study.registry import LAST, Registry, Requirement

if TYPE_CHECKING:
    from wsml_study.data.dataset import Dataset


class Reads(StrEnum):
    """What a reader needs, and what it is called with beside its options as keywords."""

    NOTHING = "nothing"  # reader()
    FOLDER = "folder"  # reader(root)
    LABEL_FILES = "label files"  # reader(root, LabelFiles)
    FEATURE_FILES = "feature files"  # reader(root, FeatureFiles)


@dataclass(frozen=True, kw_only=True)
class ReaderRecord:
    """One kind of dataset.

    Attributes:
        name: as `data.dataset` has it.
        position: where lists show it.
        content: images and classes, in a line.
        layout: what `data.root` is to hold, in a line.
        reads: what the reader needs.
        reader: gives a `Dataset`; a function, or `module:function`.
        holds_images: its files of labels may hold the images themselves, so that `data.root` may be left out.
        leaves_out: what figures leave out although it is annotated, such as difficult objects: an entry of 0 in the
            labels is that, and not a label that nobody gave. None if entries of 0 are without annotation.
        keeps_labels: no label is hidden unless the study says so: the user's own labels, and those that are partial.
        options: further keys of the section `data`.
        requires: packages that it needs beyond those that every installation has.
    """

    name: str
    position: int = LAST
    content: str
    layout: str
    reads: Reads
    reader: str | Callable[..., Dataset]
    keeps_labels: bool = False
    holds_images: bool = False
    leaves_out: str | None = None
    options: tuple[Option, ...] = ()
    requires: tuple[Requirement, ...] = ()


READERS: Registry[ReaderRecord] = Registry(
    "dataset", ReaderRecord, group="wsml_study.datasets", package="wsml_study.data", suffix="_entry"
)
"""All readers by name, in the order in which to show them."""


def readers_of(*needs: Reads) -> tuple[str, ...]:
    """Names of the readers that need one of these."""
    return tuple(name for name, record in READERS.items() if record.reads in needs)
