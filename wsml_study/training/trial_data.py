"""What a trial trains on and is judged by: images, true labels, and the labels that it may see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, LabelFiles, Split, read_dataset
from wsml_study.data.image_store import Progress, open_images
from wsml_study.data.label_states import dense_rows
from wsml_study.data.observation import observed_labels, train_and_validation_rows
from wsml_study.study.spec import Data

Labels = npt.NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """A split of a dataset.

    Attributes:
        images_NcHW: uint8, (N, channels, H, W), memory-mapped and read-only. A row per image of the dataset's split.
        rows_M: the rows that belong here; M may be smaller than N.
        truth_MC: int8 true states, +1, -1, or 0 where the dataset itself does not say.
        observed_MC: int8 states left to see.
    """

    images_NcHW: npt.NDArray[np.uint8]
    rows_M: npt.NDArray[np.int64]
    truth_MC: Labels
    observed_MC: Labels

    def __len__(self) -> int:
        return len(self.rows_M)


@dataclass(frozen=True, kw_only=True)
class TrialData:
    """The three splits that one trial works with."""

    classes: tuple[str, ...]
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    horizontal_flip: bool

    @property
    def num_channels(self) -> int:
        """1 for gray images, 3 for RGB."""
        return int(self.train.images_NcHW.shape[1])


def open_trial_data(data: Data, *, cache_dir: Path | None = None, progress: Progress | None = None) -> TrialData:
    """Read labels, hide most of them, hold out validation images, and open all images.

    Images and labels of the last few datasets stay open, so that the trials of a warm worker share them.

    Args:
        data: which dataset, and what to hide of it.
        cache_dir: of the image store; None for the default.
        progress: told how many images of a split were decoded, and of how many.

    Raises:
        DataError: a file is missing or malformed.
    """
    dataset, images_by_split = _open_dataset(
        data.dataset.value,
        data.root,
        None if data.labels is None else LabelFiles(**data.labels.model_dump()),
        data.image_size,
        cache_dir,
        progress,
    )
    truth_NC = dataset.train.labels_NC
    observed_NC = observed_labels(truth_NC, **data.observe.model_dump())
    train_rows, validation_rows = train_and_validation_rows(dataset, data.validation.fraction, data.validation.seed)

    def part_of_train(rows_M: npt.NDArray[np.int64]) -> LabelledImages:
        return LabelledImages(
            images_NcHW=images_by_split["train"],
            rows_M=rows_M,
            truth_MC=dense_rows(truth_NC, rows_M),
            observed_MC=dense_rows(observed_NC, rows_M),
        )

    test_rows = np.arange(len(dataset.test))
    test_labels_NC = dense_rows(dataset.test.labels_NC, test_rows)
    return TrialData(
        classes=dataset.classes,
        train=part_of_train(train_rows),
        validation=part_of_train(validation_rows),
        test=LabelledImages(
            images_NcHW=images_by_split["test"],
            rows_M=test_rows,
            truth_MC=test_labels_NC,
            observed_MC=test_labels_NC,
        ),
        horizontal_flip=dataset.horizontal_flip if data.horizontal_flip is None else data.horizontal_flip,
    )


@lru_cache(maxsize=4)
def _open_dataset(
    name: str,
    root: str | None,
    labels: LabelFiles | None,
    image_size: int | None,
    cache_dir: Path | None,
    progress: Progress | None,
) -> tuple[Dataset, dict[str, npt.NDArray[np.uint8]]]:
    dataset = read_dataset(name, root=root, labels=labels)

    def images_of(split: Split) -> npt.NDArray[np.uint8]:
        size = image_size or dataset.image_size
        return open_images(split.images, size=size, channels=dataset.channels, cache_dir=cache_dir, progress=progress)

    return dataset, {"train": images_of(dataset.train), "test": images_of(dataset.test)}
