"""Scenes composed of real handwritten digits, which come with scikit-learn: data that needs no download.

A scene is a dark, slightly noisy canvas with one to five different digits, about as large as they were written, side by
side with little overlap. Which of the ten digits it shows is known completely. There is one `digit_scenes`, the same on
every machine. Scenes to train on and scenes to test on are composed of different handwritten digits.

Labels come from a file, since drawing 2,500 layouts takes longer than all else that `check` does; layouts are drawn,
digits read and scikit-learn imported only when scenes are rendered.

Shapes: N scenes, C = 10 classes, H = W = SIZE pixels.
"""

from __future__ import annotations

import bisect
import math
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, RenderedImages, Split
from wsml_study.data.label_states import NEGATIVE, POSITIVE

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIZE = 32
NUM_TRAIN = 1_500
"""Few enough to train on that a small network memorizes what assume-negative gets wrong."""

SEEDS = {"train": 1, "test": 2}
VERSION = 1
"""Raise it when scenes are drawn or painted otherwise."""

LABELS = Path(__file__).with_name("digit_scenes_labels.npy")
"""Which digits a scene shows, bits as `numpy.packbits` has them: 1,500 scenes to train on, then 1,000 to test on."""

SHARES = (0.35, 0.3, 0.2, 0.1, 0.05)
"""Share of the scenes that have one, two, three, four and five digits: 2.2 on average."""

_SHARES_UP_TO = (np.cumsum(SHARES) / np.sum(SHARES)).tolist()

GLYPH_SIZES = (8, 10)
"""Pixels of a digit's side, least and largest; the originals have 8."""

MOST_OVERLAP = 0.15
"""Share of a digit's square that another one may cover, if the canvas leaves a choice."""

ATTEMPTS = 20
DIMMEST = 0.8
"""Least brightness of a digit; the largest is 1."""

NOISE = 16
"""Gray levels that a pixel of the canvas may have at random, of 256."""

TRAIN_SHARE = 2 / 3
"""Share of the handwritten digits of each class that training scenes are composed of."""


class Glyph(NamedTuple):
    """One digit of a scene.

    Attributes:
        label: which digit, 0 to 9.
        which: in [0, 1), picks one of the handwritten ones.
        top, left: pixels.
        size: pixels of a side.
        brightness: of its ink, in [0, 1].
    """

    label: int
    which: float
    top: int
    left: int
    size: int
    brightness: float


Scene = tuple[Glyph, ...]


def read_digit_scenes() -> Dataset:
    """1,500 scenes to train on and 1,000 to test on, 32 x 32 pixels, gray, with complete labels of 10 classes."""
    shown_NC = np.unpackbits(np.load(LABELS), axis=1, count=len(CLASSES))
    return Dataset(
        name="digit_scenes",
        classes=CLASSES,
        train=_split("train", shown_NC[:NUM_TRAIN]),
        test=_split("test", shown_NC[NUM_TRAIN:]),
        image_size=SIZE,
        horizontal_flip=False,  # a mirrored digit is no digit
        channels=1,
    )


def draw_scenes(num_scenes: int, seed: int) -> tuple[Scene, ...]:
    """Layouts of scenes; the first n are the same whatever the number."""
    random = np.random.RandomState(seed)
    return tuple(_draw_scene(random) for _ in range(num_scenes))


def render_scenes(split: str, num_scenes: int) -> npt.NDArray[np.uint8]:
    """Pixels (N, 1, SIZE, SIZE) of the scenes of `train` or `test`."""
    digits_by_class = _handwritten_digits(split)
    noise = np.random.RandomState(SEEDS[split] + 1_000)
    images_N1HW = noise.randint(0, NOISE, size=(num_scenes, 1, SIZE, SIZE)).astype(np.uint8)
    for image_1HW, scene in zip(images_N1HW, draw_scenes(num_scenes, SEEDS[split]), strict=True):
        for glyph in scene:
            _paint(image_1HW[0], glyph, digits_by_class[glyph.label])
    return images_N1HW


def _split(split: str, shown_NC: npt.NDArray[np.uint8]) -> Split:
    return Split(
        names=tuple(f"{split}-{number:04d}" for number in range(len(shown_NC))),
        labels_NC=np.where(shown_NC, POSITIVE, NEGATIVE).astype(np.int8),
        images=RenderedImages(
            identity=f"digit_scenes {VERSION} {split}",
            count=len(shown_NC),
            render=partial(render_scenes, split, len(shown_NC)),
        ),
    )


def _draw_scene(random: np.random.RandomState) -> Scene:
    num_digits = 1 + bisect.bisect_right(_SHARES_UP_TO, random.random_sample())
    scene: Scene = ()
    for label in random.permutation(len(CLASSES))[:num_digits]:
        scene += (_draw_glyph(random, int(label), scene),)
    return scene


def _draw_glyph(random: np.random.RandomState, label: int, others: Scene) -> Glyph:
    """A digit at the first random place that is free enough, or else at the freest of those tried."""
    least, largest = GLYPH_SIZES
    size = random.randint(least, largest + 1)
    which, brightness = random.random_sample(), DIMMEST + (1 - DIMMEST) * random.random_sample()
    best, best_overlap = (0, 0), math.inf
    for top, left in random.randint(0, SIZE - size + 1, size=(ATTEMPTS, 2)).tolist():
        overlap = max((_overlap(top, left, size, other) for other in others), default=0.0)
        if overlap < best_overlap:
            best, best_overlap = (top, left), overlap
        if overlap <= MOST_OVERLAP:
            break
    return Glyph(label=label, which=which, top=best[0], left=best[1], size=size, brightness=brightness)


def _overlap(top: int, left: int, size: int, other: Glyph) -> float:
    """Pixels that a square and the one of a glyph both cover, as a share of the smaller square."""
    height = min(top + size, other.top + other.size) - max(top, other.top)
    width = min(left + size, other.left + other.size) - max(left, other.left)
    return max(height, 0) * max(width, 0) / min(size, other.size) ** 2


def _handwritten_digits(split: str) -> list[npt.NDArray[np.float64]]:
    """For each class, the digits (K, 8, 8) in [0, 1] that belong to `train` or `test`.

    Within a class the first ones in scikit-learn's order are for training: neighbours were often written by one person.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    by_class = [digits.images[digits.target == label] / 16 for label in range(len(CLASSES))]
    ends = [round(TRAIN_SHARE * len(of_class)) for of_class in by_class]
    in_train = split == "train"
    return [of_class[:end] if in_train else of_class[end:] for of_class, end in zip(by_class, ends, strict=True)]


def _paint(image_HW: npt.NDArray[np.uint8], glyph: Glyph, digits_K88: npt.NDArray[np.float64]) -> None:
    """Put a digit on the canvas; where it meets another, the brighter ink stays."""
    ink_88 = digits_K88[int(glyph.which * len(digits_K88))]
    ink_SS = _resize(_resize(ink_88, glyph.size).T, glyph.size).T
    levels_SS = np.rint(ink_SS * glyph.brightness * 255).astype(np.uint8)
    area = image_HW[glyph.top : glyph.top + glyph.size, glyph.left : glyph.left + glyph.size]
    np.maximum(area, levels_SS, out=area)


def _resize(image_HW: npt.NDArray[np.float64], num_rows: int) -> npt.NDArray[np.float64]:
    """Linear interpolation between rows.

    Elementwise on purpose: a matrix product rounds differently from one machine to the next.
    """
    last = len(image_HW) - 1
    centers = ((np.arange(num_rows) + 0.5) * len(image_HW) / num_rows - 0.5).clip(0, last)
    above = np.minimum(centers.astype(int), last - 1)
    share_below = (centers - above)[:, None]
    return np.asarray(image_HW[above] * (1 - share_below) + image_HW[above + 1] * share_below)
