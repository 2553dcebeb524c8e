"""Looking at a dataset before anything is trained on it: what its labels say, and whether its images are sound.

Shapes: N images, C classes.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageStat

from wsml_study.data.dataset import Dataset, GivenFeatures, ImageFiles, Split
from wsml_study.data.decoded_rows import OpenPicture, reason_of
from wsml_study.data.image_store import picture_opener
from wsml_study.data.label_states import NEGATIVE, POSITIVE, AnyLabels, dense_rows
from wsml_study.data.pixels import format_of_suffix, image_suffixes
from wsml_study.data.stored_file import Progress, num_cpus
from wsml_study.errors import DataError

ROWS_PER_BLOCK = 10_000
THUMBNAIL = 160
MARGIN = 8
LINE = 13
MOST_LINES = 6
LEAST_DEVIATION = 2.0
"""Images whose pixels deviate less from their mean, in levels of 255 and in every channel, are nearly constant."""

OBSERVED, HIDDEN, TEXT = (22, 120, 60), (180, 60, 20), (40, 40, 40)


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """How often each class is annotated, and how often two are seen together.

    Attributes:
        positives_C: images that show the class.
        negatives_C: images that are known not to show it.
        together_CC: images that show both.
    """

    positives_C: npt.NDArray[np.int64]
    negatives_C: npt.NDArray[np.int64]
    together_CC: npt.NDArray[np.int64]


def count_classes(labels_NC: AnyLabels) -> ClassCounts:
    """Count a label matrix of any size, a block of images at a time."""
    num_images, num_classes = labels_NC.shape
    positives_C, negatives_C = np.zeros(num_classes, np.int64), np.zeros(num_classes, np.int64)
    together_CC = np.zeros((num_classes, num_classes), np.int64)
    for start in range(0, num_images, ROWS_PER_BLOCK):
        block_BC = dense_rows(labels_NC, np.arange(start, min(start + ROWS_PER_BLOCK, num_images)))
        shown_BC = (block_BC == POSITIVE).astype(np.float32)
        positives_C += shown_BC.sum(axis=0).astype(np.int64)
        negatives_C += (block_BC == NEGATIVE).sum(axis=0)
        together_CC += (shown_BC.T @ shown_BC).astype(np.int64)
    return ClassCounts(positives_C=positives_C, negatives_C=negatives_C, together_CC=together_CC)


@dataclass(frozen=True, kw_only=True)
class Soundness:
    """What decoding and comparing all images showed.

    Attributes:
        num_images: that were looked at.
        thing: what they are, images or rows of features.
        problems: what spoils results, a line each: unreadable images, images of nearly constant pixels, and pictures
            that are both in training and in test.
        notes: what is worth knowing: repeated pictures, images without labels, classes without positives.
    """

    num_images: int
    thing: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def look_at_images(dataset: Dataset, progress: Progress) -> Soundness:
    """Decode every image, and compare the contents of all; of given features compare the rows."""
    splits = {"train": dataset.train, "test": dataset.test}
    total, done = sum(map(len, splits.values())), 0
    problems: list[str] = []
    flat: list[str] = []
    places: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
    with ThreadPoolExecutor(max_workers=num_cpus()) as executor:
        for part, split in splits.items():
            look = _looker(split)
            for name, seen in zip(split.names, executor.map(look, range(len(split))), strict=True):
                done += 1
                progress(done, total)
                match seen:
                    case bytes():
                        places[seen].append((part, name))
                    case None:
                        flat.append(f"{part} {name}")
                    case str():
                        problems.append(f"{part} image {name} cannot be read: {seen}")
    if flat:
        problems.append(_about_flat(flat))
    thing, content = ("rows", "features") if isinstance(dataset.train.images, GivenFeatures) else ("images", "picture")
    notes: list[str] = []
    for alike in places.values():
        if len(alike) > 1:
            both = len({part for part, _ in alike}) > 1
            (problems if both else notes).append(f"the same {content}: {', '.join(' '.join(one) for one in alike)}")
    notes += [*_unlisted(dataset), *_without_labels(dataset), *_classes_without_positives(dataset)]
    return Soundness(num_images=total, thing=thing, problems=tuple(problems), notes=tuple(notes))


def contact_sheet(dataset: Dataset, observed_NC: AnyLabels, *, num_images: int, seed: int) -> Image.Image:
    """Random training images with their labels below: `+` for positives that a method sees, `?` for hidden ones.

    Raises:
        DataError: features are given in place of images.
    """
    if isinstance(dataset.train.images, GivenFeatures):
        raise DataError("given features have no pictures to show; leave out --picture")
    rows = np.sort(np.random.RandomState(seed).permutation(len(dataset.train))[:num_images])
    truth_MC, seen_MC = dense_rows(dataset.train.labels_NC, rows), dense_rows(observed_NC, rows)
    captions = [
        [(dataset.train.names[row], TEXT), *_label_lines(dataset.classes, truth_C, seen_C)]
        for row, truth_C, seen_C in zip(rows, truth_MC, seen_MC, strict=True)
    ]
    columns = min(5, len(rows))
    height = THUMBNAIL + max(map(len, captions)) * LINE + 2 * MARGIN
    sheet = Image.new("RGB", (columns * (THUMBNAIL + MARGIN) + MARGIN, -(-len(rows) // columns) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    open_row = picture_opener(dataset.train.images)
    for place, row in enumerate(rows):
        left, top = MARGIN + place % columns * (THUMBNAIL + MARGIN), MARGIN + place // columns * height
        with open_row(int(row)) as picture:
            scale = THUMBNAIL / max(picture.size)
            size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
            shown = picture.convert("RGB").resize(size)
        sheet.paste(shown, (left + (THUMBNAIL - shown.width) // 2, top))
        for number, (text, color) in enumerate(captions[place]):
            draw.text(
                (left, top + THUMBNAIL + 2 + number * LINE), fitting(draw, text, font, THUMBNAIL), fill=color, font=font
            )
    return sheet


def _label_lines(
    classes: tuple[str, ...], truth_C: npt.NDArray[np.int8], seen_C: npt.NDArray[np.int8]
) -> list[tuple[str, tuple[int, int, int]]]:
    seen = [(f"+ {classes[column]}", OBSERVED) for column in np.flatnonzero(seen_C == POSITIVE)]
    hidden = [
        (f"? {classes[column]}", HIDDEN) for column in np.flatnonzero((truth_C == POSITIVE) & (seen_C != POSITIVE))
    ]
    lines = seen + hidden
    if len(lines) > MOST_LINES:
        return [*lines[: MOST_LINES - 1], (f"and {len(lines) - MOST_LINES + 1} more", TEXT)]
    return lines


def fitting(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    """As much of a text as fits into a width, in pixels."""
    while draw.textlength(text, font=font) > width:
        text = f"{text.removesuffix('…')[:-1]}…"
    return text


def _looker(split: Split) -> Callable[[int], bytes | str | None]:
    """A function of the row, as `_look`; of given features the fingerprint of the row."""
    if isinstance(split.images, GivenFeatures):
        values_ND = split.images.values_ND
        return lambda row: hashlib.sha256(values_ND[row].tobytes()).digest()
    return partial(_look, picture_opener(split.images))


def _look(open_row: OpenPicture, row: int) -> bytes | str | None:
    """A fingerprint of the decoded pixels; None if they are nearly constant, or a text: why they cannot be decoded."""
    try:
        with open_row(row) as picture:
            if max(ImageStat.Stat(picture).stddev) < LEAST_DEVIATION:
                return None
            return hashlib.sha256(picture.convert("RGB").tobytes() + str(picture.size).encode()).digest()
    except Exception as error:  # a damaged file can make a decoder raise anything
        return reason_of(error)


def _counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _about_flat(flat: list[str]) -> str:
    shown = ", ".join(flat[:5]) + (", ..." if len(flat) > 5 else "")
    return (
        f"{_counted(len(flat), 'image is', 'images are')} nearly constant (standard deviation of the pixels below "
        f"{LEAST_DEVIATION:g} of 255): {shown}; if they have more than 8 bits and use few of the values, set "
        "`data.pixel_range: used`"
    )


def count_formats(dataset: Dataset) -> Counter[str]:
    """How many image files there are of each format, by suffix; of one that cannot be read with what to install."""
    sources = [split.images for split in (dataset.train, dataset.test) if isinstance(split.images, ImageFiles)]
    suffixes = Counter(Path(name).suffix for source in sources for name in source.names)
    formats: Counter[str] = Counter()
    for suffix, count in suffixes.items():
        formats[format_of_suffix(suffix)] += count
    return formats


def unreadable_formats(dataset: Dataset) -> list[str]:
    """What to say of image files that need a plug-in which is not installed."""
    return [
        f"{_counted(count, 'image is', 'images are')} {name}"
        for name, count in count_formats(dataset).items()
        if "cannot be read" in name
    ]


def _unlisted(dataset: Dataset) -> Iterator[str]:
    """Images in the folders that neither split lists."""
    suffixes = image_suffixes()
    listed: dict[Path, set[str]] = defaultdict(set)
    for images in (dataset.train.images, dataset.test.images):
        if isinstance(images, ImageFiles):
            listed[images.folder] |= set(images.names)
    for folder, names in listed.items():
        there = {
            f"{parent}/{path.name}".lstrip("/")
            for parent in {name.rpartition("/")[0] for name in names}
            for path in (folder / parent).iterdir()
            if path.suffix.lower() in suffixes
        }
        if extra := sorted(there - names):
            shown = ", ".join(extra[:3]) + (", ..." if len(extra) > 3 else "")
            yield f"{_counted(len(extra), 'image', 'images')} in {folder} without labels: {shown}"


def _without_labels(dataset: Dataset) -> Iterator[str]:
    """Listed images of which nothing is annotated: rows without a word, or with `?` in every cell."""
    for part, split in (("train", dataset.train), ("test", dataset.test)):
        blank = [
            split.names[start + row]
            for start in range(0, len(split), ROWS_PER_BLOCK)
            for row in np.flatnonzero(
                ~dense_rows(split.labels_NC, np.arange(start, min(start + ROWS_PER_BLOCK, len(split)))).any(axis=1)
            )
        ]
        if blank:
            shown = ", ".join(blank[:3]) + (", ..." if len(blank) > 3 else "")
            verb = "has" if len(blank) == 1 else "have"
            yield f"{part}: {len(blank):,} of {len(split):,} rows {verb} no label at all: {shown}"


def _classes_without_positives(dataset: Dataset) -> Iterator[str]:
    for part, split in (("train", dataset.train), ("test", dataset.test)):
        none_C = count_classes(split.labels_NC).positives_C == 0
        names = [name for name, none in zip(dataset.classes, none_C, strict=True) if none]
        if names:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            yield f"{part}: {_counted(len(names), 'class has', 'classes have')} no positive label: {shown}"
