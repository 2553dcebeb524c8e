"""The dataset that the section `data` of a study names."""

from __future__ import annotations

from wsml_study.data.dataset import Dataset
from wsml_study.data.readers import read_dataset
from wsml_study.study.data_section import Data


def dataset_of(data: Data, *, root: str | None = None) -> Dataset:
    """Read labels and the list of images; images are read later.

    Args:
        data: section of a study.
        root: where the images are now; by default where the section says.

    Raises:
        DataError: images or labels are missing or malformed.
    """
    return read_dataset(
        data.dataset, root=root or data.root, labels=data.labels, features=data.features, **data.reader_options
    )
