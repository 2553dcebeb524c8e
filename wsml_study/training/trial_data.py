"""The data of a trial: images or features, true labels, and the labels that its method may see.

Shapes: N rows of a split of the dataset, M of them that belong to a split of the trial, C classes, D features.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, GivenFeatures, Interpolation, PixelRange, Split
from wsml_study.data.image_store import ImageRows, Kind, open_images
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, assume_negative, dense_rows
from wsml_study.data.observation import train_and_validation_rows, training_labels
from wsml_study.data.pseudo_labels import read_pseudo_scores
from wsml_study.data.readers import read_dataset
from wsml_study.data.stored_file import Progress
from wsml_study.data.validation_labels import EpochChoice, LabelChoice, epoch_choice, validation_labels
from wsml_study.options import Value
from wsml_study.study.data_section import Data

Labels = npt.NDArray[np.int8]

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """A split of a dataset, with images or with given features.

    Attributes:
        images_NcHW: uint8, (N, channels, H, W), read-only, a row per image of the dataset's split; memory-mapped, or
            decoded when rows are asked for. None where there are features.
        names_N: names of these images.
        rows_M: the rows that belong to this split of the trial; M may be smaller than N.
        truth_MC: int8 true states, +1, -1, or 0 where the dataset itself does not say.
        observed_MC: int8 observed states, 0 where a label was hidden.
        features_ND: float32, read-only, in place of images.
    """

    images_NcHW: ImageRows | None = None
    names_N: tuple[str, ...]
    rows_M: npt.NDArray[np.int64]
    truth_MC: Labels
    observed_MC: Labels
    features_ND: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if (self.images_NcHW is None) == (self.features_ND is None):
            raise ValueError("expected images or features, got both or neither")

    def __len__(self) -> int:
        return len(self.rows_M)

    @property
    def assumed_MC(self) -> Labels:  # noqa: N802 - the suffix is the shape
        """int8 +1 and -1: the observed states with everything unobserved taken as negative."""
        return assume_negative(self.observed_MC)

    def is_partial(self, labels: LabelChoice) -> bool:
        """Whether trials are evaluated on labels of which some are unobserved."""
        return labels != "clean" and self._has_unobserved

    @cached_property
    def _has_unobserved(self) -> bool:
        return bool((self.observed_MC == UNOBSERVED).any())

    def epoch_choice(self, labels: LabelChoice) -> EpochChoice:
        """What epochs are judged by, as `data.validation.labels` says."""
        num_positives, num_negatives = self._num_known
        return epoch_choice(labels, num_positives=num_positives, num_negatives=num_negatives)

    @cached_property
    def _num_known(self) -> tuple[int, int]:
        """Labels that are observed as positive, and as negative."""
        return int((self.observed_MC == POSITIVE).sum()), int((self.observed_MC == NEGATIVE).sum())

    def judged_by(self, labels: LabelChoice) -> Labels:
        """int8 (M, C) states that epochs are evaluated on, as `data.validation.labels` says; 0 is left out."""
        return validation_labels(self.epoch_choice(labels), truth_MC=self.truth_MC, observed_MC=self.observed_MC)


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Standardizes given features: (features - mean_D) / deviation_D."""

    mean_D: npt.NDArray[np.float32]
    deviation_D: npt.NDArray[np.float32]

    @classmethod
    def of(cls, features_MD: npt.NDArray[np.float32]) -> Scaling:
        """Mean 0 and deviation 1 over these rows; a constant feature is only shifted.

        >>> Scaling.of(np.array([[0, 7], [4, 7]], dtype=np.float32)).deviation_D
        array([2., 1.], dtype=float32)
        """
        mean_D = features_MD.mean(axis=0, dtype=np.float64)
        deviation_D = features_MD.std(axis=0, dtype=np.float64)
        # Rounding leaves a constant feature a deviation slightly above 0, and dividing by it would blow up the noise.
        constant_D = deviation_D <= 1e-6 * np.abs(mean_D)
        return cls(
            mean_D=mean_D.astype(np.float32), deviation_D=np.where(constant_D, 1, deviation_D).astype(np.float32)
        )


@dataclass(frozen=True, kw_only=True)
class TrialData:
    """The three splits of one trial.

    Attributes:
        classes: C names.
        horizontal_flip: whether training images are mirrored.
        scaling: of given features; None if they are taken as they are.
        scores_MC: float32, given scores of the training images for methods that take such, in [0, 1].
    """

    classes: tuple[str, ...]
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    horizontal_flip: bool
    scaling: Scaling | None = None
    scores_MC: npt.NDArray[np.float32] | None = None

    @cached_property
    def validation_images(self) -> str:
        """Sixteen hexadecimal digits that tell these validation images and classes, in this order, from others."""
        validation = self.validation
        names = [*self.classes, "", *(validation.names_N[row] for row in validation.rows_M)]
        return hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def num_channels(self) -> int:
        """1 for gray images, 3 for RGB."""
        assert self.train.images_NcHW is not None
        return int(self.train.images_NcHW.shape[1])

    @property
    def image_size(self) -> int:
        """Pixels of a side."""
        assert self.train.images_NcHW is not None
        return int(self.train.images_NcHW.shape[2])

    @property
    def features_are_given(self) -> bool:
        """Whether there are features in place of images."""
        return self.train.features_ND is not None

    def split(self, name: SplitName) -> LabelledImages:
        """One of the three splits."""
        found: LabelledImages = getattr(self, name)
        return found


def open_trial_data(data: Data, *, cache_dir: Path | None = None, progress: Progress | None = None) -> TrialData:
    """Read labels, hide most of them, hold out validation images, and open all images.

    Images, or features, and labels of the last few datasets stay open, so that the trials of a warm worker share them.

    Args:
        data: the `data` section of a study file.
        cache_dir: folder of the image store; None for the default.
        progress: called with how many images of a split were decoded, and of how many.

    Raises:
        DataError: a file is missing or malformed.
    """
    dataset, images_by_split = _open_dataset(
        _source(data), data.pixel_range, data.interpolation, data.image_size, data.store, cache_dir, progress
    )
    truth_NC = dataset.train.labels_NC
    observed_NC = training_labels(dataset, **data.observe.model_dump())
    train_rows, validation_rows = train_and_validation_rows(
        dataset,
        data.validation.fraction,
        data.validation.seed,
        hold_out=data.holds_out,
        share=data.train_share,
    )

    def part_of_train(rows_M: npt.NDArray[np.int64]) -> LabelledImages:
        return LabelledImages(
            **images_by_split["train"],
            names_N=dataset.train.names,
            rows_M=rows_M,
            truth_MC=dense_rows(truth_NC, rows_M),
            observed_MC=dense_rows(observed_NC, rows_M),
        )

    train, test_rows = part_of_train(train_rows), np.arange(len(dataset.test))
    test_labels_NC = dense_rows(dataset.test.labels_NC, test_rows)
    return TrialData(
        classes=dataset.classes,
        train=train,
        validation=part_of_train(validation_rows),
        test=LabelledImages(
            **images_by_split["test"],
            names_N=dataset.test.names,
            rows_M=test_rows,
            truth_MC=test_labels_NC,
            observed_MC=test_labels_NC,
        ),
        horizontal_flip=dataset.horizontal_flip if data.horizontal_flip is None else data.horizontal_flip,
        scaling=None
        if train.features_ND is None or data.feature_scaling == "none"
        else Scaling.of(train.features_ND[train.rows_M]),
        scores_MC=None
        if data.pseudo_labels is None
        else read_pseudo_scores(data.pseudo_labels, dataset.classes, dataset.train.names)[train_rows],
    )


def dataset_of(data: Data) -> Dataset:
    """Classes, labels and image names of a dataset, read once for it and for `open_trial_data`.

    Raises:
        DataError: a file is missing or malformed.
    """
    return _read(_source(data))


_Source = tuple[str, str | None, LabelFiles | None, FeatureFiles | None, tuple[tuple[str, Value | None], ...]]
"""Name, root, files of labels and of features, options of the reader: what `read_dataset` takes."""


def _source(data: Data) -> _Source:
    return data.dataset.value, data.root, data.labels, data.features, tuple(data.reader_options.items())


@lru_cache(maxsize=4)
def _read(source: _Source) -> Dataset:
    name, root, labels, features, options = source
    return read_dataset(name, root=root, labels=labels, features=features, **dict(options))


@lru_cache(maxsize=4)
def _open_dataset(
    source: _Source,
    pixel_range: PixelRange | None,
    interpolation: Interpolation | None,
    image_size: int | None,
    store: Kind | None,
    cache_dir: Path | None,
    progress: Progress | None,
) -> tuple[Dataset, dict[str, dict[str, Any]]]:
    """The dataset, and the images or features of its splits, as arguments of `LabelledImages`."""
    dataset = _read(source).decoded_with(pixel_range, interpolation)

    def images_of(split: Split) -> dict[str, Any]:
        if isinstance(split.images, GivenFeatures):
            return {"features_ND": split.images.values_ND}
        assert dataset.image_size is not None
        assert dataset.channels is not None
        images_NcHW = open_images(
            split.images,
            size=image_size or dataset.image_size,
            channels=dataset.channels,
            kind=store,
            cache_dir=cache_dir,
            progress=progress,
        )
        return {"images_NcHW": images_NcHW}

    return dataset, {"train": images_of(dataset.train), "test": images_of(dataset.test)}
