"""Reading a dataset by name."""

from __future__ import annotations

from pathlib import Path

from wsml_study.data.dataset import Dataset
from wsml_study.data.hub_files import is_hub_address, local_path
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.reader_record import READERS, Reads
from wsml_study.errors import DataError
from wsml_study.options import Value
from wsml_study.registry import implementation


def read_dataset(
    name: str,
    *,
    root: str | Path | None = None,
    labels: LabelFiles | None = None,
    features: FeatureFiles | None = None,
    **options: Value | None,
) -> Dataset:
    """Read classes, labels and image names; images themselves are opened later, by `open_images`.

    Args:
        name: one of `READERS`.
        root: folder of the dataset's own download, or of the user's images; none for `digit_scenes`, which is embedded,
            nor for a table that holds the images.
        labels: where the labels are, for those of the user's own.
        features: where the features are, for those of the user's own.
        options: of the reader.

    Raises:
        ValueError: the name is unknown, or a root, labels or features are missing or not wanted.
        DataError: a file is missing or malformed, or a root is given for an embedded dataset.
        PluginError: the function of a plug-in's reader cannot be imported.
    """
    if name not in READERS:
        raise ValueError(f"expected a dataset out of {', '.join(READERS)}, got {name!r}")
    record = READERS[name]
    if (labels is None) == (record.reads is Reads.LABEL_FILES):
        raise ValueError(f"{name} {'needs' if labels is None else 'takes no'} files of labels")
    if (features is None) == (record.reads is Reads.FEATURE_FILES):
        raise ValueError(f"{name} {'needs' if features is None else 'takes no'} files of features")
    if root is None and record.reads is not Reads.NOTHING and not record.holds_images:
        raise ValueError(f"{name} needs a root, the folder of its {'files' if features else 'images'}")
    if root is not None and record.reads is Reads.NOTHING:
        raise DataError(f"{name} is embedded and has no folder of data: expected no --data-root, got {str(root)!r}")
    places = [] if record.reads is Reads.NOTHING else [None if root is None else local_path(root)]
    files = [_downloaded(given) for given in (labels, features) if given is not None]
    reader = implementation(record.reader) if isinstance(record.reader, str) else record.reader
    dataset: Dataset = reader(*places, *files, **options)
    return dataset


def _downloaded(files: LabelFiles | FeatureFiles) -> LabelFiles | FeatureFiles:
    """The same with paths of this machine in place of addresses of the hub."""
    named = {key: value for key, value in files if isinstance(value, str) and is_hub_address(value)}
    return files.model_copy(update={key: str(local_path(address)) for key, address in named.items()})
