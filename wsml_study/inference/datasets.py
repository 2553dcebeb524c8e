"""The dataset that a config names."""

from __future__ import annotations

from pathlib import Path

from wsml_study.data.dataset import Dataset, GivenFeatures, ImageSource, Split
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError
from wsml_study.study.data_section import Data


def dataset_of(data: Data, root: str | Path | None) -> Dataset:
    """Classes, labels and image names.

    Args:
        data: of a config.
        root: folder of the data; None for that of the config.

    Raises:
        DataError: a file is missing or malformed, or there are features in place of images.
    """
    if data.features is not None:
        raise DataError(f"{data.dataset.value}: these are features, and the model takes images")
    dataset = read_dataset(
        data.dataset, root=root or data.root, labels=data.labels, features=None, **data.reader_options
    )
    return dataset.decoded_with(data.pixel_range, data.interpolation)


def images_of(split: Split) -> ImageSource:
    """The images of a split of such a dataset."""
    assert not isinstance(split.images, GivenFeatures), "refused before"
    return split.images
