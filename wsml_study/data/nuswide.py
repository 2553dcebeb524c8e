"""NUS-WIDE, from the official lists or from the `formatted_*.npy` files of the re-crawled set.

Official: `Concepts81.txt`, `TrainTestLabels/Labels_<concept>_<Train|Test>.txt` with 1 or 0 a line, and
`ImageList/<Train|Test>Imagelist.txt` with an image a line, folders separated by backslashes. All images stay, also the
13,412 test images that show no concept. Many photos have gone from the web since, so images that are absent are left
out, and the dataset says how many.

Re-crawled (Cole et al., CVPR 2021): `formatted_<train|val>_images.npy` with names, `formatted_<train|val>_labels.npy`
with ones and zeros; every image shows something. Shapes: N images, C = 81 concepts, in the order of their list.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.label_states import NEGATIVE, POSITIVE, Labels
from wsml_study.data.problem_list import data_error
from wsml_study.data.text_lines import absent, first_existing, numbered_lines
from wsml_study.errors import DataError

REMEDY = (
    "ask for the lists and photos at https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html"
)
RECRAWLED_REMEDY = (
    "download the four formatted_*.npy files from https://caltech.box.com/v/single-positive-multi-label and the photos "
    "as https://github.com/elijahcole/single-positive-multi-label says"
)
RECRAWLED_CLASSES = """
    airport animal beach bear birds boats book bridge buildings cars castle cat cityscape clouds computer coral
    cow dancing dog earthquake elk fire fish flags flowers food fox frost garden glacier grass harbor horses house
    lake leaf map military moon mountain nighttime ocean person plane plants police protest railroad rainbow
    reflection road rocks running sand sign sky snow soccer sports statue street sun sunset surf swimmers tattoo
    temple tiger tower town toy train tree valley vehicle water waterfall wedding whales window zebra
"""


def read_nuswide(root: Path, release: str | None = None) -> Dataset:
    """NUS-WIDE with 81 concepts.

    Args:
        root: the folder with the lists, as unpacked, or with the re-crawled set's four files; photos in `Flickr` or
            `images` below it.
        release: `official` or `recrawled`; None takes the re-crawled set where its files are.

    Raises:
        DataError: a file is missing or malformed, or contradicts another, or no photo is there.
    """
    recrawled_file = root / "formatted_train_images.npy"
    if release == "recrawled" and not recrawled_file.exists():
        raise DataError(
            f"{recrawled_file}: no such file, and data.release is recrawled; {RECRAWLED_REMEDY}; or set it to official"
        )
    if recrawled_file.exists() and release != "official":
        classes = RECRAWLED_CLASSES.split()
        train, test = (_recrawled_split(root, part, len(classes)) for part in ("train", "val"))
    else:
        classes = [line for _, line in numbered_lines(_concepts(root), remedy=REMEDY)]
        train, test = (_official_split(root, part, classes) for part in ("Train", "Test"))
    return Dataset(
        name="nuswide",
        classes=tuple(classes),
        train=train[0],
        test=test[0],
        image_size=448,
        horizontal_flip=True,
        channels=3,
        notices=tuple(notice for notice in (train[1], test[1]) if notice),
    )


def _concepts(root: Path) -> Path:
    candidates = (root / "Concepts81.txt", root / "ConceptsList" / "Concepts81.txt")
    found = first_existing(*candidates)
    if found is None:
        raise DataError(
            f"{root}: expected Concepts81.txt in it or in ConceptsList (the official lists), or "
            f"formatted_train_images.npy (the re-crawled set); {REMEDY}"
        )
    return found


def _official_split(root: Path, part: str, classes: list[str]) -> tuple[Split, str | None]:
    file = root / "ImageList" / f"{part}Imagelist.txt"
    names = [line.replace("\\", "/") for _, line in numbered_lines(file, remedy=REMEDY)]
    folder = first_existing(root / "TrainTestLabels", root / "Groundtruth" / "TrainTestLabels")
    if folder is None:
        raise DataError(f"{root}: expected TrainTestLabels in it or in Groundtruth below it; {REMEDY}")
    columns = [_column(folder / f"Labels_{name}_{part}.txt", len(names)) for name in classes]
    return _split(root, part, names, np.stack(columns, axis=1), REMEDY)


def _column(file: Path, num_images: int) -> npt.NDArray[np.int8]:
    states = {"1": POSITIVE, "0": NEGATIVE}
    column = []
    problems = []
    for number, line in numbered_lines(file, remedy=REMEDY):
        if line not in states:
            problems.append(f"{file.name}:{number}: expected 1 or 0, got {line!r}")
        column.append(states.get(line, NEGATIVE))
    if len(column) != num_images:
        problems.append(
            f"{file.name}: expected {num_images:,} lines, as many as images are listed, got {len(column):,}"
        )
    if problems:
        raise data_error(file.parent, problems, remedy=REMEDY)
    return np.array(column, dtype=np.int8)


def _recrawled_split(root: Path, part: str, num_classes: int) -> tuple[Split, str | None]:
    names_N = _load(root / f"formatted_{part}_images.npy")
    ones_NC = _load(root / f"formatted_{part}_labels.npy")
    if ones_NC.shape != (len(names_N), num_classes) or not np.isin(ones_NC, (0, 1)).all():
        raise DataError(
            f"{root / f'formatted_{part}_labels.npy'}: expected ones and zeros for {len(names_N):,} images and "
            f"{num_classes} concepts, got {ones_NC.dtype} {ones_NC.shape}; {RECRAWLED_REMEDY}"
        )
    labels_NC = np.where(ones_NC == 1, np.int8(POSITIVE), np.int8(NEGATIVE))
    return _split(root, part, [str(name) for name in names_N], labels_NC, RECRAWLED_REMEDY)


def _load(file: Path) -> npt.NDArray[np.generic]:
    try:
        content: npt.NDArray[np.generic] = np.load(file)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}; {RECRAWLED_REMEDY}") from error
    except ValueError as error:
        raise DataError(f"{file}: expected an array of names or numbers: {error}; {RECRAWLED_REMEDY}") from error
    return content


def _split(root: Path, part: str, names: list[str], labels_NC: Labels, remedy: str) -> tuple[Split, str | None]:
    """The images that are there, and a word about those that are not."""
    repeated = len(names) - len(set(names))
    if repeated:
        raise DataError(f"{root}: {repeated:,} images of {part} are listed twice; {remedy}")
    folder = first_existing(root / "Flickr", root / "images") or root
    missing = set(absent(folder, names))
    if len(missing) == len(names):
        raise DataError(f"{folder}: none of the {len(names):,} images of {part} is there; {remedy}")
    kept = [row for row, name in enumerate(names) if name not in missing]
    kept_names = tuple(names[row] for row in kept)
    split = Split(names=kept_names, labels_NC=labels_NC[kept], images=ImageFiles(folder=folder, names=kept_names))
    notice = f"{len(missing):,} of {len(names):,} images of {part} are not in {folder} and are left out"
    return split, notice if missing else None
