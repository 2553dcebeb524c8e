"""ImageNet with multi-label test images: trained on single labels, tested on all that is to be seen.

Training images (`train/<wnid>/`) are known to show the class of their folder, and nothing else is known of them. Images
of `val/` have the labels of people who looked for several classes: ReaL's (`real.json`: a list of classes per image, in
the order of their names; images with an empty list are left out), or those of Shankar et al.
(`human_accuracy_*.json`: correct, wrong and unclear classes of 20,000 images; an unclear class is unknown, and images
marked as problematic are left out). Classes that neither names are absent.

Sources: Beyer et al., "Are we done with ImageNet?", 2020, and google-research/reassessed-imagenet; Shankar et al.,
"Evaluating Machine Accuracy on ImageNet", ICML 2020, whose file is read as TensorFlow Datasets
(imagenet2012_multilabel) reads it. Verelst et al., "Spatial Consistency Loss for Training Multi-Label Classifiers from
Single-Label Annotations", WACV 2023, train and test in this way. Shapes: N images, C = 1,000 classes, in the order of
their wnids.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.json_records import read_json
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED
from wsml_study.data.problem_list import Problems, shown
from wsml_study.data.text_lines import numbered_lines
from wsml_study.errors import DataError

if TYPE_CHECKING:
    from wsml_study.data.label_states import SparseLabels

REMEDY = "download ILSVRC2012 from https://image-net.org/download-images.php and unpack it as train/<wnid>/ and val/"
REAL_REMEDY = "put real.json of https://github.com/google-research/reassessed-imagenet into the folder"
SHANKAR_REMEDY = (
    "put human_accuracy_v3.0.0.json into the folder, which imagenet2012_multilabel of TensorFlow Datasets downloads "
    "(https://www.tensorflow.org/datasets/catalog/imagenet2012_multilabel)"
)
NAMES = "LOC_synset_mapping.txt"
VALIDATION_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
WNID = re.compile(r"n\d{8}")
NUM_CLASSES = 1000
SEED = 1200
"""Of the draw of validation images."""


def read_imagenet_multilabel(root: Path, multilabels: str = "real", judged_validation: float = 0.2) -> Dataset:
    """ImageNet-1K: 1,281,167 images with one positive each to train on; tested on images with multi-labels.

    Args:
        root: the folder with `train`, `val` and the file of multi-labels; names of the classes are taken from
            `LOC_synset_mapping.txt` where it is there.
        multilabels: `real` (46,837 of 50,000 images), or `shankar` (of 20,000).
        judged_validation: the share of the images with multi-labels that validate, drawn; the others test. With 0 all
            test, and validation images are drawn from those to train on, of which nothing is known to be absent.

    Raises:
        DataError: a file or folder is missing or malformed, or no image is there.
    """
    wnids, descriptions = _classes(root, multilabels)
    paths = _validation_paths(root)
    read = _real if multilabels == "real" else _shankar
    judged, left_out = read(root, wnids, paths)
    names = sorted(judged)
    if not names:
        raise DataError(f"{root / 'val'}: none of its images has multi-labels; {REMEDY}")
    order = np.random.RandomState(SEED).permutation(len(names))
    num_validation = round(judged_validation * len(names))
    validation, test = sorted(order[:num_validation].tolist()), sorted(order[num_validation:].tolist())
    if not test:
        raise DataError(f"{root / 'val'}: {len(names):,} images with multi-labels are too few to validate and test on")
    train_paths, columns = _training_images(root, wnids)
    labels_NC = _joined(columns, [judged[names[row]] for row in validation], len(wnids))
    return Dataset(
        name="imagenet_multilabel",
        classes=descriptions,
        train=_split(root, [*train_paths, *(paths[names[row]] for row in validation)], labels_NC),
        test=_split(root, [paths[names[row]] for row in test], np.stack([judged[names[row]] for row in test])),
        image_size=224,
        horizontal_flip=True,
        channels=3,
        validation_rows=tuple(range(len(train_paths), len(train_paths) + num_validation)) if num_validation else None,
        notices=(
            "a training image is known to show the class of its folder; all else is unknown",
            f"{len(names):,} images of val have multi-labels ({multilabels}): {num_validation:,} validate, "
            f"{len(test):,} test; {left_out}",
        ),
    )


def _split(root: Path, paths: Sequence[str], labels_NC: Any) -> Split:
    names = tuple(paths)
    return Split(names=names, labels_NC=labels_NC, images=ImageFiles(folder=root, names=names))


def _classes(root: Path, multilabels: str) -> tuple[list[str], tuple[str, ...]]:
    """Ids of the classes in order, and what they are called."""
    file = root / NAMES
    if file.exists():
        named = dict(line.partition(" ")[::2] for _, line in numbered_lines(file, remedy=REMEDY))
        if wrong := next((one for one in named if not WNID.fullmatch(one)), None):
            raise DataError(f"{file}: expected lines such as `n01440764 tench, Tinca tinca`, got {shown(wrong)}")
        wnids = sorted(named)
        words = [named[one].split(",")[0].strip() or one for one in wnids]
    else:
        wnids = sorted(one for one in _listed(root / "train") if WNID.fullmatch(one))
        words = list(wnids)
        if multilabels == "real" and len(wnids) != NUM_CLASSES:
            raise DataError(
                f"{root / 'train'}: expected a folder for each of {NUM_CLASSES:,} classes, found {len(wnids):,}; "
                f"real.json numbers all of them: put {NAMES} into {root}, which names them; {REMEDY}"
            )
    counts = Counter(words)
    return wnids, tuple(
        word if counts[word] == 1 else f"{word} ({one})" for word, one in zip(words, wnids, strict=True)
    )


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  only names: one call for all images
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}; {REMEDY}") from error


def _training_images(root: Path, wnids: Sequence[str]) -> tuple[list[str], list[int]]:
    """Paths of the training images, and the column of each."""
    columns = {one: column for column, one in enumerate(wnids)}
    paths, found = list[str](), list[int]()
    for folder in _listed(root / "train"):
        if folder in columns and (root / "train" / folder).is_dir():
            images = [name for name in _listed(root / "train" / folder) if name.upper().endswith((".JPEG", ".JPG"))]
            paths += [f"train/{folder}/{name}" for name in images]
            found += [columns[folder]] * len(images)
    if not paths:
        raise DataError(f"{root / 'train'}: no image in folders of the classes, such as {wnids[0]}; {REMEDY}")
    return paths, found


def _validation_paths(root: Path) -> dict[str, str]:
    """Where below the root each image of `val` is, by its name: in it, or in a folder of its class."""
    paths: dict[str, str] = {}
    for name in _listed(root / "val"):
        if WNID.fullmatch(name):
            paths |= {one: f"val/{name}/{one}" for one in _listed(root / "val" / name)}
        else:
            paths[name] = f"val/{name}"
    return {name: path for name, path in paths.items() if VALIDATION_IMAGE.fullmatch(name)}


def _real(root: Path, wnids: Sequence[str], paths: dict[str, str]) -> tuple[dict[str, npt.NDArray[np.int8]], str]:
    """States (C,) of each image that is there, by its name, and what is left out."""
    file = root / "real.json"
    content = read_json(file, remedy=REAL_REMEDY)
    if not isinstance(content, list):
        raise DataError(f"{file}: expected a list of classes per image; {REAL_REMEDY}")
    problems, judged, empty = Problems(), dict[str, npt.NDArray[np.int8]](), 0
    for place, columns in enumerate(content):
        name = f"ILSVRC2012_val_{place + 1:08d}.JPEG"
        if not isinstance(columns, list) or not all(type(one) is int and 0 <= one < len(wnids) for one in columns):
            expected = f"numbers of classes below {len(wnids):,}"
            problems.add("labels", f"entry {place} ({name}): expected {expected}, got {shown(columns)}")
        elif not columns:
            empty += name in paths
        elif name in paths:
            judged[name] = _states(len(wnids), dict.fromkeys(columns, POSITIVE))
    if problems:
        raise problems.error(file, remedy=REAL_REMEDY)
    if beyond := [name for name in paths if int(name[15:23]) > len(content)]:
        raise DataError(f"{file}: expected labels of {beyond[0]} as well, got {len(content):,} entries; {REAL_REMEDY}")
    return judged, f"{empty:,} on which no class was found are left out"


def _shankar(root: Path, wnids: Sequence[str], paths: dict[str, str]) -> tuple[dict[str, npt.NDArray[np.int8]], str]:
    """As `_real`, from the annotations of Shankar et al."""
    file = next(iter(sorted(root.glob("human_accuracy*.json"))), root / "human_accuracy_v3.0.0.json")
    content = read_json(file, remedy=SHANKAR_REMEDY)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), dict) for key in ("initial_annots", "problematic_images")
    ):
        raise DataError(f"{file}: expected `initial_annots` and `problematic_images`; {SHANKAR_REMEDY}")
    columns = {one: column for column, one in enumerate(wnids)}
    problems, judged, problematic = Problems(), dict[str, npt.NDArray[np.int8]](), 0
    for name, annotated in content["initial_annots"].items():
        if name not in paths:
            continue
        if name in content["problematic_images"]:
            problematic += 1
            continue
        states: dict[int, int] = {}
        for key, state in (("wrong", NEGATIVE), ("unclear", UNOBSERVED), ("correct", POSITIVE)):
            for wnid in annotated.get(key, ()):
                if wnid not in columns:
                    problems.add("classes", f"{name}: {key}: {shown(wnid)} is no class of the folder")
                elif states.setdefault(columns[wnid], state) != state:
                    problems.add("contradictions", f"{name}: {wnid} is {key}, and something else as well")
        judged[name] = _states(len(wnids), states)
    if problems:
        raise problems.error(file, remedy=SHANKAR_REMEDY)
    return judged, f"{problematic:,} that are marked as problematic are left out"


def _states(num_classes: int, known: dict[int, int]) -> npt.NDArray[np.int8]:
    states_C = np.full(num_classes, NEGATIVE, dtype=np.int8)
    states_C[list(known)] = list(known.values())
    return states_C


def _joined(columns: Sequence[int], validation: Sequence[npt.NDArray[np.int8]], num_classes: int) -> SparseLabels:
    """Labels (N, C): one positive per training image, and those of the validation images below them."""
    from scipy import sparse

    positives = np.full(len(columns), POSITIVE, dtype=np.int8)
    train_NC = sparse.csr_array((positives, (np.arange(len(columns)), columns)), shape=(len(columns), num_classes))
    if not validation:
        return train_NC
    return sparse.vstack([train_NC, sparse.csr_array(np.stack(validation))], format="csr", dtype=np.int8)
