"""Output of the commands `wsml-study data`: the supported datasets, and statistics of one study's data."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wsml_study.data.dataset import Dataset, GivenFeatures, ImageSource
from wsml_study.data.image_store import estimated_bytes, kind_of_store, open_images, stored_images
from wsml_study.data.inspection import (
    ClassCounts,
    Soundness,
    contact_sheet,
    count_classes,
    count_formats,
    look_at_images,
)
from wsml_study.data.observation import training_labels
from wsml_study.data.reader_record import READERS
from wsml_study.data.readers import read_dataset
from wsml_study.data.stored_file import Progress, default_cache_dir
from wsml_study.errors import DataError
from wsml_study.study.data_section import Data

BAR = 24
MOST_CLASSES, MOST_PAIRS = 40, 8
PICTURES, PICTURE_SEED = 20, 0
KINDS = {"raw": "raw pixels", "jpeg": "JPEGs"}


def overview() -> list[str]:
    """The datasets, a line each."""
    known = READERS.values()
    widths = [max(len(getattr(one, key)) for one in known) for key in ("name", "content")]
    lines = [f"{one.name:<{widths[0]}}  {one.content:<{widths[1]}}  {one.layout}" for one in known]
    return [
        *lines,
        "",
        "`data.root` is the folder that the last column describes; `wsml-study init --list` lists studies of them.",
    ]


def data_info(data: Data, *, picture: Path | None = None) -> list[str]:
    """Counts, class frequencies, co-occurring classes and hidden labels; optionally a contact sheet in a file.

    Raises:
        DataError: a file is missing or malformed, or the picture cannot be written.
    """
    dataset = _read(data)
    train, test = count_classes(dataset.train.labels_NC), count_classes(dataset.test.labels_NC)
    observed_NC = training_labels(dataset, **data.observe.model_dump())
    seen = count_classes(observed_NC)
    num_entries = len(dataset.train) * len(dataset.classes)
    known = int(train.positives_C.sum() + train.negatives_C.sum())
    visible = int(seen.positives_C.sum() + seen.negatives_C.sum())
    hidden = known - visible
    thing = "row" if isinstance(dataset.train.images, GivenFeatures) else "image"
    lines = [
        f"{dataset.name}: {len(dataset.train):,} {thing}s to train and validate on, {len(dataset.test):,} to test on, "
        f"{len(dataset.classes):,} classes",
        f"positives per {thing}: {train.positives_C.sum() / len(dataset.train):.2f} train, "
        f"{test.positives_C.sum() / len(dataset.test):.2f} test",
        f"training labels: {known / num_entries:.1%} are known, {visible / num_entries:.2%} are observed",
        *_format_lines(dataset),
        *dataset.notices,
    ]
    if hidden:
        false_negatives = int(train.positives_C.sum() - seen.positives_C.sum())
        lines.append(
            f"assume-negative takes {false_negatives:,} of {hidden:,} hidden labels wrongly for negatives "
            f"({false_negatives / hidden:.2%})"
        )
    lines += ["", *_frequency_lines(dataset, train, seen), *_pair_lines(dataset, train)]
    if picture is not None:
        try:
            contact_sheet(dataset, observed_NC, num_images=PICTURES, seed=PICTURE_SEED).save(picture)
        except (OSError, ValueError) as error:
            raise DataError(f"{picture}: cannot write the picture: {error}; name a .png in a folder") from error
        lines += [
            "",
            f"picture of {min(PICTURES, len(dataset.train))} training images: {picture} (+ observed, ? hidden)",
        ]
    return lines


def prepare(data: Data, *, notify: Callable[[str], None], progress: Progress) -> None:
    """Decode and resize all images of a study's data into the store; continues where an earlier call stopped.

    Args:
        data: of the study.
        notify: receives the size before the work starts, and the path afterwards.
        progress: called with the images done and their total.

    Raises:
        DataError: images are missing or unreadable, or the disk is too small.
    """
    dataset = _read(data)
    for part, split in (("train", dataset.train), ("test", dataset.test)):
        if isinstance(split.images, GivenFeatures):
            notify(f"{part}: features are given, so there is nothing to prepare")
        elif data.store == "none":
            notify(f"{part}: data.store is `none`, so images are decoded for each batch")
        else:
            _prepare(data, dataset, part, split.images, notify, progress)


def _prepare(
    data: Data,
    dataset: Dataset,
    part: str,
    images: ImageSource,
    notify: Callable[[str], None],
    progress: Progress,
) -> None:
    assert dataset.image_size is not None
    assert dataset.channels is not None
    size, channels = data.image_size or dataset.image_size, dataset.channels
    kind = data.store or kind_of_store((len(images), channels, size, size))
    stored = stored_images(images, size=size, channels=channels, kind=kind)
    if stored.exists():
        notify(f"{part}: {len(images):,} images are in the store already: {stored}")
        return
    num_bytes = estimated_bytes(images, size=size, channels=channels, kind=kind)
    home = default_cache_dir()
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    notify(
        f"{part}: {len(images):,} images of {size} x {size} take {num_bytes / 2**30:.2f} GiB as {KINDS[kind]}, "
        f"{free / 2**30:.1f} GiB are free"
    )
    if num_bytes > free:
        raise DataError(
            f"{home}: {num_bytes / 2**30:.2f} GiB do not fit into {free / 2**30:.1f} GiB; set WSML_CACHE to a folder "
            f"with room, make data.image_size smaller, or set data.store to jpeg, or to none, which keeps nothing"
        )
    open_images(images, size=size, channels=channels, kind=kind, progress=progress)
    notify(f"{part}: stored in {stored}")


def verify(data: Data, *, progress: Progress) -> Soundness:
    """Check every image of a study's data.

    Raises:
        DataError: a file is missing or malformed.
    """
    return look_at_images(_read(data), progress)


def _read(data: Data) -> Dataset:
    labels = data.labels
    features = data.features
    dataset = read_dataset(data.dataset, root=data.root, labels=labels, features=features, **data.reader_options)
    return dataset.decoded_with(data.pixel_range, data.interpolation)


def _format_lines(dataset: Dataset) -> list[str]:
    counts = ", ".join(f"{count:,} {name}" for name, count in count_formats(dataset).most_common())
    return [f"image files, by suffix: {counts}"] if counts else []


def _frequency_lines(dataset: Dataset, train: ClassCounts, seen: ClassCounts) -> list[str]:
    order = np.argsort(-train.positives_C, kind="stable")
    shown, most = order[:MOST_CLASSES], max(1, int(train.positives_C.max(initial=0)))
    width = max(len(dataset.classes[column]) for column in shown)
    lines = [f"{'class':<{width}}  {'positive':>9}  {'seen':>9}  {'negative':>9}"]
    for column in shown:
        count = int(train.positives_C[column])
        lines.append(
            f"{dataset.classes[column]:<{width}}  {count:>9,}  {int(seen.positives_C[column]):>9,}  "
            f"{int(train.negatives_C[column]):>9,}  {'█' * round(BAR * count / most)}"
        )
    left_out = len(order) - len(shown)
    return [*lines, f"... and {left_out:,} rarer classes"] if left_out else lines


def _pair_lines(dataset: Dataset, train: ClassCounts) -> list[str]:
    together_CC = np.triu(train.together_CC, k=1)
    order = np.argsort(-together_CC, axis=None, kind="stable")[:MOST_PAIRS]
    pairs = [np.unravel_index(place, together_CC.shape) for place in order]
    lines = [
        f"  {dataset.classes[one]} and {dataset.classes[other]}: {together_CC[one, other]:,} images, "
        f"{together_CC[one, other] / train.positives_C[one]:.0%} of the former, "
        f"{together_CC[one, other] / train.positives_C[other]:.0%} of the latter"
        for one, other in pairs
        if together_CC[one, other]
    ]
    return ["", "most frequent pairs of classes", *lines] if lines else []
