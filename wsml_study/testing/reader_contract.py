"""What every reader of a dataset promises.

Shapes: N images of a split, C classes.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np

from wsml_study.data.dataset import Dataset, GivenFeatures, Split
from wsml_study.data.image_store import open_images
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.label_states import Labels, dense_rows, is_sparse
from wsml_study.data.reader_record import READERS, Reads
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError
from wsml_study.options import Value
from wsml_study.testing.promises import expect, keep_promise

Side = Literal["train", "test"]

READ_ELSEWHERE = """
import hashlib, json, sys
import numpy as np
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.readers import read_dataset
from wsml_study.data.label_states import dense_rows
given = json.loads(sys.argv[1])
for key, kind in {"labels": LabelFiles, "features": FeatureFiles}.items():
    given[key] = given[key] and kind(**given[key])
dataset = read_dataset(given["name"], root=given["root"], labels=given["labels"], features=given["features"],
                       **given["options"])
for split in (dataset.train, dataset.test):
    labels_NC = dense_rows(split.labels_NC, np.arange(len(split)))
    print(hashlib.sha256(repr((dataset.classes, split.names)).encode() + labels_NC.tobytes()).hexdigest())
print(*sorted({"torch", "torchvision", "sklearn", "ray", "PIL"} & set(sys.modules)))
"""


@dataclass(frozen=True, kw_only=True)
class ReaderCase:
    """A reader with what it is called with.

    Attributes:
        name: of the reader.
        root, labels, features: as `read_dataset` takes them.
        options: values of the reader's options.
    """

    name: str
    root: Path | None = None
    labels: LabelFiles | None = None
    features: FeatureFiles | None = None
    options: Mapping[str, Value] = field(default_factory=dict)

    @property
    def reads(self) -> Reads:
        """What the reader needs."""
        return READERS[self.name].reads

    def read(self) -> Dataset:
        """The dataset, read anew."""
        return read_dataset(self.name, root=self.root, labels=self.labels, features=self.features, **self.options)

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset, read once."""
        return self.read()

    def split(self, side: Side) -> Split:
        """One of its splits."""
        return self.dataset.train if side == "train" else self.dataset.test


def check_reader(
    name: str,
    *,
    root: str | Path | None = None,
    labels: LabelFiles | None = None,
    features: FeatureFiles | None = None,
    **options: Value,
) -> None:
    """Check that a registered reader keeps its contract, on a small dataset whose images all differ.

    Args:
        name: of its record.
        root: folder of the dataset, for readers that take one.
        labels: for readers of label files.
        features: for readers of feature files.
        options: values of the reader's options.

    Raises:
        AssertionError: a promise is broken; the message says which.
        ValueError: there is no such reader, or root, labels or features are missing or not wanted.
    """
    case = ReaderCase(
        name=name, root=None if root is None else Path(root), labels=labels, features=features, options=options
    )
    _ = case.dataset  # an error of the call itself is no broken promise
    for promise in READER_CONTRACT:
        keep_promise(promise, case, f"dataset {name}")


def it_says_its_own_name(case: ReaderCase) -> None:
    """`Dataset.name` is the name of the record."""
    expect(case.dataset.name == case.name, f"the dataset says {case.dataset.name!r}")


def classes_are_unique_and_have_a_label_column_each(case: ReaderCase, side: Side) -> None:
    """C names, and labels (N, C)."""
    classes, columns = case.dataset.classes, case.split(side).labels_NC.shape[1]
    expect(len(set(classes)) == len(classes), "a class is listed twice")
    expect(len(classes) == columns, f"{len(classes)} classes, but {columns} columns of labels")


def names_labels_and_images_go_together(case: ReaderCase, side: Side) -> None:
    """As many names as rows of labels and images, some at least, and no name twice."""
    split = case.split(side)
    counts = (len(split.names), split.labels_NC.shape[0], len(split.images))
    expect(len(split) > 0, "the split has no images")
    expect(set(counts) == {len(split)}, f"names, rows of labels and images are not as many: {counts}")
    expect(len(set(split.names)) == len(split.names), "an image is listed twice")


def labels_are_int8_states(case: ReaderCase, side: Side) -> None:
    """+1, -1 and 0."""
    split = case.split(side)
    expect(split.labels_NC.dtype == np.int8, f"expected int8, got {split.labels_NC.dtype}")
    states = set(np.unique(dense(split)).tolist())
    expect(states <= {-1, 0, 1}, f"expected states among -1, 0 and 1, got {sorted(states)}")


def labels_cannot_be_changed(case: ReaderCase, side: Side) -> None:
    """Trials of one process share them."""
    labels_NC = case.split(side).labels_NC
    stored = labels_NC.data if is_sparse(labels_NC) else labels_NC
    expect(not stored.flags.writeable, "the labels can be written to; set `labels.flags.writeable = False`")


def train_and_test_share_no_image(case: ReaderCase) -> None:
    """By their names."""
    shared = set(case.dataset.train.names) & set(case.dataset.test.names)
    expect(not shared, f"{len(shared)} images are in both splits, such as {min(shared, default=None)}")


def images_open_in_the_stated_shape(case: ReaderCase, side: Side) -> None:
    """uint8 (N, channels, H, W), no two images alike, or float32 features (N, D)."""
    dataset, split = case.dataset, case.split(side)
    if isinstance(split.images, GivenFeatures):
        stated = (dataset.image_size, dataset.channels, dataset.horizontal_flip)
        expect(stated == (None, None, False), f"features have no image size, channels and flips, got {stated}")
        expect(split.images.values_ND.dtype == np.float32, f"expected float32, got {split.images.values_ND.dtype}")
        num_different = len(np.unique(split.images.values_ND, axis=0))
        expect(num_different == len(split), f"only {num_different} of {len(split)} rows of features differ")
        return
    size, channels = dataset.image_size, dataset.channels
    expect(size is not None and channels is not None, "image_size and channels are not stated")
    assert size is not None
    assert channels is not None
    with tempfile.TemporaryDirectory() as store:
        opened = open_images(split.images, size=size, channels=channels, cache_dir=store)
        images = opened[np.arange(len(split))]
        expected = (len(split), channels, size, size)
        expect(images.shape == expected, f"expected images of shape {expected}, got {images.shape}")
        expect(images.dtype == np.uint8, f"expected uint8, got {images.dtype}")
        num_different = len({image.tobytes() for image in images})
    # Two that are equal may be an empty one, or one in the wrong row.
    expect(num_different == len(split), f"only {num_different} of {len(split)} images differ")


def reading_twice_gives_the_same(case: ReaderCase) -> None:
    """Classes, names and labels."""
    _expect_same(case.read(), case.dataset)


def a_fresh_process_reads_the_same_without_torch_sklearn_or_images(case: ReaderCase) -> None:
    """Also under another seed of Python's hashes; images are opened later, and only where a trial needs them."""
    given = json.dumps(
        {
            "name": case.name,
            "root": None if case.root is None else str(case.root),
            "labels": None if case.labels is None else case.labels.model_dump(),
            "features": None if case.features is None else case.features.model_dump(),
            "options": dict(case.options),
        }
    )
    first, second = _printed_by([sys.executable, "-c", READ_ELSEWHERE, given], hash_seeds=("1", "2"))
    expect(first[:2] == second[:2], "two processes with different PYTHONHASHSEED read different names or labels")
    expect(not first[2], f"reading imports {first[2]}; import it where images are opened")


def it_survives_pickle(case: ReaderCase) -> None:
    """Datasets travel to workers."""
    _expect_same(pickle.loads(pickle.dumps(case.dataset)), case.dataset)


def files_that_are_absent_are_a_data_error(case: ReaderCase) -> None:
    """So that `check` tells the user in a line what is missing; for readers of a folder or of label files."""
    with tempfile.TemporaryDirectory() as folder:
        if case.reads is Reads.FOLDER:
            absent = replace(case, root=Path(folder) / "absent")
        elif case.reads is Reads.LABEL_FILES:
            absent = replace(case, root=Path(folder), labels=LabelFiles(file=str(Path(folder) / "absent.csv")))
        else:
            return
        try:
            absent.read()
        except DataError as error:
            expect("absent" in str(error), f"the message does not name the absent file or folder: {error}")
            return
    raise AssertionError("reading absent files raises no error")


READER_CONTRACT: tuple[Callable[[ReaderCase], None], ...] = (
    it_says_its_own_name,
    *(
        partial(promise, side=side)
        for promise in (
            classes_are_unique_and_have_a_label_column_each,
            names_labels_and_images_go_together,
            labels_are_int8_states,
            labels_cannot_be_changed,
            images_open_in_the_stated_shape,
        )
        for side in ("train", "test")
    ),
    train_and_test_share_no_image,
    reading_twice_gives_the_same,
    a_fresh_process_reads_the_same_without_torch_sklearn_or_images,
    it_survives_pickle,
    files_that_are_absent_are_a_data_error,
)
"""All promises of a reader."""


def dense(split: Split) -> Labels:
    """All labels of a split, int8 (N, C)."""
    return dense_rows(split.labels_NC, np.arange(len(split)))


def _expect_same(one: Dataset, other: Dataset) -> None:
    expect(one.classes == other.classes, "the classes are others")
    for mine, yours in ((one.train, other.train), (one.test, other.test)):
        expect(mine.names == yours.names, "the names of the images are others")
        expect(np.array_equal(dense(mine), dense(yours)), "the labels are others")


def _printed_by(command: list[str], *, hash_seeds: Sequence[str]) -> list[list[str]]:
    """The lines that a command prints, under each seed of Python's hashes, run at the same time."""
    started = [
        subprocess.Popen(
            command,
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in hash_seeds
    ]
    printed = []
    for process in started:
        output, errors = process.communicate()
        expect(process.returncode == 0, f"a fresh process fails: {errors.strip()}")
        printed.append(output.splitlines())
    return printed
