"""OpenImages V3, release 2017_11: labels verified by people, 5,000 trainable classes, real partial labels.

`<subset>/annotations-human.csv` has a line per verified label: Confidence 1 is present, 0 absent; what has no line is
not annotated. Where people disagreed, present wins. Annotations of classes that are not trainable are left out, and so
are images that are not in the image folder: the web has lost many, and the dataset says how many.

The files are streamed, and the labels stay sparse: 3.4 million images times 5,000 classes would take 17 GB.
Shapes: N images, C classes, M annotations.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.label_states import NEGATIVE, POSITIVE, SparseLabels
from wsml_study.data.text_lines import first_existing, numbered_lines
from wsml_study.errors import DataError

REMEDY = "download the V3 annotations (2017_11) from https://storage.googleapis.com/openimages/web/download_v3.html"
NUM_GROUPS = 5
ID_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """Verified labels of one subset.

    Attributes:
        images_M: uint64, the image id that sixteen hexadecimal digits say.
        columns_M: uint16, the class.
        states_M: int8, +1 or -1.
    """

    images_M: npt.NDArray[np.uint64]
    columns_M: npt.NDArray[np.uint16]
    states_M: npt.NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Subset:
    """Images of one subset, `train`, `validation` or `test`, and their labels.

    Attributes:
        folder: of the images.
        names: N file names.
        labels_NC: of these images.
        notice: how many images are there.
    """

    folder: Path
    names: tuple[str, ...]
    labels_NC: SparseLabels
    notice: str

    @property
    def split(self) -> Split:
        """The subset as a split of its own."""
        images = ImageFiles(folder=self.folder, names=self.names)
        return Split(names=self.names, labels_NC=self.labels_NC, images=images)


def read_openimages_v3(root: Path, validation_subset: str = "drawn") -> Dataset:
    """OpenImages V3, trained on `train` and tested on `test`.

    Args:
        root: the folder with `classes-trainable.txt`, and for each subset `<subset>/annotations-human.csv` and the
            images as `<subset>/<ImageID>.jpg`, `images/<subset>/`, `<subset>/images/`, or `images_train/`,
            `images_val/` and `images_test/`.
        validation_subset: `official` validates on the subset `validation`; `drawn` leaves it aside, so that validation
            images are drawn from `train`.

    Raises:
        DataError: a file is missing or malformed, or no image is there.
    """
    home = first_existing(root / "classes-trainable.txt", root / "2017_11" / "classes-trainable.txt")
    if home is None:
        raise DataError(f"{root}: expected classes-trainable.txt in it, or in 2017_11 below it; {REMEDY}")
    ids = [line for _, line in numbered_lines(home, remedy=REMEDY)]
    names = _descriptions(home.parent)
    train, test = (_read_subset(root, home.parent, subset, ids) for subset in ("train", "test"))
    validation = _read_subset(root, home.parent, "validation", ids) if validation_subset == "official" else None
    return Dataset(
        name="openimages_v3",
        classes=_unique([names.get(one, one) for one in ids], ids),
        train=train.split if validation is None else _joined(train, validation),
        test=test.split,
        image_size=448,
        horizontal_flip=True,
        channels=3,
        validation_rows=None
        if validation is None
        else tuple(range(len(train.names), len(train.names) + len(validation.names))),
        class_groups=tuple(frequency_groups(train.labels_NC).tolist()),
        notices=tuple(one.notice for one in (train, validation, test) if one is not None),
    )


def _joined(train: Subset, validation: Subset) -> Split:
    """Images of both subsets, those of `validation` last, named from the folder that holds both."""
    from scipy import sparse

    home = Path(os.path.commonpath((train.folder, validation.folder)))
    names = tuple(
        f"{subset.folder.relative_to(home).as_posix()}/{name}"
        for subset in (train, validation)
        for name in subset.names
    )
    labels_NC = sparse.vstack([train.labels_NC, validation.labels_NC], format="csr")
    return Split(names=names, labels_NC=labels_NC, images=ImageFiles(folder=home, names=names))


def frequency_groups(labels_NC: SparseLabels) -> npt.NDArray[np.int64]:
    """(C,) group of each class from 1 (G1, fewest training annotations, positive or negative) to 5 (G5), of equal size.

    Source: the protocol of Kim et al., CVPR 2022, as of Durand et al., "Learning a Deep ConvNet for Multi-label
    Classification with Partial Labels", CVPR 2019. Classes with equally many annotations keep their order.
    """
    num_classes = labels_NC.shape[1]
    num_annotations_C = np.bincount(labels_NC.indices, minlength=num_classes)
    group_C = np.empty(num_classes, dtype=np.int64)
    group_C[np.argsort(num_annotations_C, kind="stable")] = np.arange(num_classes) * NUM_GROUPS // num_classes + 1
    return group_C


def read_annotations(file: Path, classes: list[str]) -> Annotations:
    """Stream one file of verified labels; those of other classes are left out.

    Raises:
        DataError: the file is missing, or is no such table.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow.csv import ConvertOptions, ReadOptions, open_csv

    known = pa.array(classes, pa.string())
    columns = {"ImageID": pa.string(), "LabelName": pa.string(), "Confidence": pa.float32()}
    parts: list[tuple[npt.NDArray[np.generic], ...]] = []
    try:
        with open_csv(
            file,
            read_options=ReadOptions(block_size=16 * 2**20),
            convert_options=ConvertOptions(include_columns=list(columns), column_types=columns),
        ) as reader:
            for batch in reader:
                column = pc.index_in(batch["LabelName"], value_set=known)
                ours = pc.is_valid(column)
                images = batch["ImageID"].filter(ours)
                present = np.asarray(batch["Confidence"].filter(ours)) > 0
                parts.append(
                    (
                        image_numbers(images.to_pylist()),
                        np.asarray(column.filter(ours)).astype(np.uint16),
                        np.where(present, np.int8(POSITIVE), np.int8(NEGATIVE)),
                    )
                )
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such file; {REMEDY}") from error
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise DataError(
            f"{file}: expected a CSV table with ImageID, LabelName and Confidence, got: {error}; {REMEDY}"
        ) from error
    types = (np.uint64, np.uint16, np.int8)
    images_M, columns_M, states_M = (
        np.concatenate([np.empty(0, kind), *(part[place] for part in parts)]) for place, kind in enumerate(types)
    )
    return Annotations(images_M=images_M, columns_M=columns_M, states_M=states_M)


def image_numbers(ids: list[str]) -> npt.NDArray[np.uint64]:
    """The number that each id of sixteen hexadecimal digits says.

    Raises:
        ValueError: one that is no such id.
    """
    if wrong := next((one for one in ids if len(one) != ID_DIGITS), None):
        raise ValueError(f"an image id has {ID_DIGITS} hexadecimal digits, got {wrong!r}")
    return np.frombuffer(bytes.fromhex("".join(ids)), dtype=">u8").astype(np.uint64)


def sparse_labels(annotations: Annotations, num_classes: int) -> tuple[npt.NDArray[np.uint64], SparseLabels]:
    """Ids of the annotated images, ascending, and their labels (N, C), of which only the annotated ones are stored."""
    from scipy import sparse

    images_N, rows_M = np.unique(annotations.images_M, return_inverse=True)
    # Later entries replace earlier ones, so positives come last: present wins.
    order = np.lexsort((annotations.states_M, annotations.columns_M, rows_M))
    rows_M, columns_M = rows_M[order].astype(np.int32), annotations.columns_M[order].astype(np.int32)
    last_M = np.append((np.diff(rows_M) != 0) | (np.diff(columns_M) != 0), True)[: len(rows_M)]
    labels_NC = sparse.csr_array(
        (annotations.states_M[order][last_M], (rows_M[last_M], columns_M[last_M])), shape=(len(images_N), num_classes)
    )
    return images_N, labels_NC


def _read_subset(root: Path, home: Path, subset: str, ids: list[str]) -> Subset:
    file = first_existing(home / subset / "annotations-human.csv", root / subset / "annotations-human.csv")
    annotations = read_annotations(file or home / subset / "annotations-human.csv", ids)
    images_N, labels_NC = sparse_labels(annotations, len(ids))
    folder, present_N = _find_images(root, subset, images_N)
    if not present_N.any():
        raise DataError(
            f"{folder}: none of the {len(images_N):,} annotated images of {subset} is there; put them there as "
            f"<ImageID>.jpg"
        )
    names = tuple(f"{number:016x}.jpg" for number in images_N[present_N].tolist())
    labels_NC = labels_NC if present_N.all() else labels_NC[np.flatnonzero(present_N)]
    notice = f"{subset}: {len(names):,} of {len(images_N):,} annotated images are in {folder}, the others are left out"
    return Subset(folder=folder, names=names, labels_NC=labels_NC, notice=notice)


def _find_images(root: Path, subset: str, images_N: npt.NDArray[np.uint64]) -> tuple[Path, npt.NDArray[np.bool_]]:
    """The folder with images of a subset, and which of these images it has."""
    short = "val" if subset == "validation" else subset
    candidates = (root / "images" / subset, root / subset / "images", root / f"images_{short}", root / subset)
    folder = first_existing(*candidates) or candidates[0]
    there = []
    if folder.exists():
        with os.scandir(folder) as entries:
            for entry in entries:
                stem, dot, suffix = entry.name.partition(".")
                if dot and suffix == "jpg" and len(stem) == ID_DIGITS:
                    there.append(stem)
    try:
        numbers = image_numbers(there)
    except ValueError as error:
        raise DataError(f"{folder}: expected images named <ImageID>.jpg: {error}") from error
    return folder, np.isin(images_N, numbers)


def _descriptions(home: Path) -> dict[str, str]:
    """Class id -> what people call it; empty without the file, which only gives names."""
    file = home / "class-descriptions.csv"
    if not file.exists():
        return {}
    rows = csv.reader(line for _, line in numbered_lines(file, remedy=REMEDY))
    return {row[0]: row[1] for row in rows if len(row) > 1}


def _unique(names: list[str], ids: list[str]) -> tuple[str, ...]:
    """Names, with the id behind those that several classes share."""
    shared = {name for name in set(names) if names.count(name) > 1} if len(set(names)) < len(names) else set()
    return tuple(f"{name} ({one})" if name in shared else name for name, one in zip(names, ids, strict=True))
