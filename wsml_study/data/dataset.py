"""A dataset as every reader gives it: classes, true labels and images that are not opened yet, or given features.

Shapes: N images of a split, C classes, H = W pixels, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, AnyLabels, is_sparse
from wsml_study.data.problem_list import data_error

PixelRange = Literal["full", "used"]
"""What becomes black and white where a picture has more than 8 bits: the ends of its type, or its own extremes."""

Interpolation = Literal["bilinear", "bicubic"]
"""How pictures are resized, with antialiasing in either case."""


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Images in files, opened when they are asked for.

    Attributes:
        folder: what the names are relative to.
        names: a file for each row, in the folder or below it.
        pixel_range: how pixels of more than 8 bits are scaled, see `pixels.decoded`.
        interpolation: by which pictures are resized.

    Raises:
        DataError: a name leads out of the folder.
    """

    folder: Path
    names: tuple[str, ...]
    pixel_range: PixelRange = "full"
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        outside = [name for name in self.names if name.startswith("/") or (".." in name and ".." in name.split("/"))]
        if outside:
            problems = [f"{name} lies outside of it" for name in outside]
            remedy = "list images by names within this folder, or give one that holds them all"
            raise data_error(self.folder, problems, remedy=remedy)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True)
class RenderedImages:
    """Images that a function computes when they are asked for.

    Attributes:
        identity: stands for everything that decides the pixels; change it whenever they change.
        count: N.
        render: gives uint8 (N, channels, H, W); a function of a module or a partial of one, so that it survives pickle.
        interpolation: by which they are resized.
    """

    identity: str
    count: int
    render: Callable[[], npt.NDArray[np.uint8]]
    interpolation: Interpolation = "bilinear"

    def __len__(self) -> int:
        return self.count


ImageSource = ImageFiles | RenderedImages


def decoded_as(
    source: ImageSource, pixel_range: PixelRange | None, interpolation: Interpolation | None = None
) -> ImageSource:
    """The same images with pixels of more than 8 bits scaled in another way, or resized in another way.

    Args:
        source: of the images.
        pixel_range: None for the default, the full range; images that are computed have 8 bits.
        interpolation: None for the default, bilinear.
    """
    resized = replace(source, interpolation=interpolation or "bilinear")
    return replace(resized, pixel_range=pixel_range or "full") if isinstance(resized, ImageFiles) else resized


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenFeatures:
    """Features that were computed elsewhere, in place of images.

    Attributes:
        values_ND: float32, finite. Read-only.
    """

    values_ND: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        # Trials of a process share the array, so none may write to it.
        read_only_ND = self.values_ND.view()
        read_only_ND.flags.writeable = False
        object.__setattr__(self, "values_ND", read_only_ND)

    def __len__(self) -> int:
        return len(self.values_ND)


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Images that are trained on or tested on together.

    Attributes:
        names: what each image is called, unique within the split.
        labels_NC: int8 true states, +1 present, -1 absent, 0 where the dataset does not say. Read-only. Sparse where
            most are 0 and there are too many to write down.
        images: an image for each row, not yet opened, or the features that stand for it.

    Raises:
        ValueError: the three disagree on N, or the labels are not int8 states.
    """

    names: tuple[str, ...]
    labels_NC: AnyLabels
    images: ImageSource | GivenFeatures

    def __post_init__(self) -> None:
        if self.labels_NC.ndim != 2 or self.labels_NC.dtype != np.int8:
            raise ValueError(f"expected int8 labels (N, C), got {self.labels_NC.dtype} {self.labels_NC.shape}")
        num_labelled = self.labels_NC.shape[0]
        if not len(self.names) == num_labelled == len(self.images):
            raise ValueError(
                f"expected as many names as labels and images, got {len(self.names)}, {num_labelled} and "
                f"{len(self.images)}"
            )
        states = self.labels_NC.data if is_sparse(self.labels_NC) else self.labels_NC
        if not np.isin(states, (POSITIVE, NEGATIVE, UNOBSERVED)).all():
            raise ValueError("expected label states +1, -1 and 0 only")
        if is_sparse(self.labels_NC):
            self.labels_NC.data.flags.writeable = False
            return
        # Trials share these labels; one that corrects labels must correct a copy.
        read_only_NC = self.labels_NC.view()
        read_only_NC.flags.writeable = False
        object.__setattr__(self, "labels_NC", read_only_NC)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """What a reader found.

    Attributes:
        name: the name that `read_dataset` was given.
        classes: C names, in the order of the label columns.
        train: what training and validation images are taken from.
        test: images that no trial is chosen by.
        image_size: pixels, the side that the dataset's protocol resizes images to; None for given features.
        horizontal_flip: whether that protocol mirrors training images.
        channels: 1 for gray images, 3 for RGB; None for given features.
        validation_rows: rows of `train` to validate on, where the labels say which; None to draw them.
        groups: which images of `train` belong together, so that no group is split by validation.
        class_groups: the group of each class, from 1, where papers report mAP by groups of classes (OpenImages).
        train_boxes: where boxes around the objects of `train` are, as `read_boxes` takes it; None without any.
        notices: what the user should know of the data.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    image_size: int | None
    horizontal_flip: bool
    channels: int | None
    validation_rows: tuple[int, ...] | None = None
    groups: tuple[str, ...] | None = None
    class_groups: tuple[int, ...] | None = None
    train_boxes: Path | None = None
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.class_groups is not None and len(self.class_groups) != len(self.classes):
            raise ValueError(f"expected a group for each of {len(self.classes)} classes, got {len(self.class_groups)}")
        widths = {split.labels_NC.shape[1] for split in (self.train, self.test)}
        if widths != {len(self.classes)}:
            raise ValueError(f"expected a label column for each of {len(self.classes)} classes, got {sorted(widths)}")

    def decoded_with(self, pixel_range: PixelRange | None, interpolation: Interpolation | None = None) -> Dataset:
        """The same dataset, its images decoded as `decoded_as` says."""

        def rescaled(split: Split) -> Split:
            if isinstance(split.images, GivenFeatures):
                return split
            return replace(split, images=decoded_as(split.images, pixel_range, interpolation))

        return replace(self, train=rescaled(self.train), test=rescaled(self.test))
