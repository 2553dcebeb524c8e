"""CheXpert: chest X-rays with 14 observations that were taken from reports, from its own layout.

`train.csv` and `valid.csv` have a row per image: 1 is present, 0 absent, -1 uncertain, and blank not mentioned in the
report. Trained on `train.csv`, tested on `valid.csv`, which radiologists labelled completely. A patient, whom the path
of an image names, is never on both sides of a split.

Source: Irvin et al., "CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels and Expert Comparison", AAAI
2019. Its policies U-Zeros, U-Ones and U-Ignore are `uncertain: negative`, `positive` and `unobserved`; its models take
what is not mentioned as negative. Shapes: N images, C observations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsml_study.data.csv_columns import CsvRow, read_columns
from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.images_there import rows_there
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.data.patients import patients_in_both, patients_text
from wsml_study.data.problem_list import Problems, shown
from wsml_study.data.text_lines import first_existing
from wsml_study.errors import DataError

REMEDY = "download CheXpert from https://stanfordmlgroup.github.io/competitions/chexpert and unpack it"
FOLDERS = ("CheXpert-v1.0-small", "CheXpert-v1.0")
NO_FINDING = "No Finding"
SUPPORT_DEVICES = "Support Devices"
"""No pathology: a report without any finding may mention them."""

OBSERVATIONS = (
    NO_FINDING,
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    SUPPORT_DEVICES,
)
"""All 14, in the order of the tables."""

COMPETITION = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""The five that the competition evaluates."""

VIEW = "Frontal/Lateral"
PATH = re.compile(r"(?:^|/)((?:train|valid|test)/(patient\d+)/[^/]+/[^/]+)$")
STATES = {"unobserved": UNOBSERVED, "positive": POSITIVE, "negative": NEGATIVE}
STATED = {"1.0": POSITIVE, "1": POSITIVE, "0.0": NEGATIVE, "0": NEGATIVE}
UNCERTAIN = ("-1.0", "-1")
"""How cells are written."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What cells stand for.

    Attributes:
        uncertain: -1: `unobserved`, `positive` or `negative`.
        not_mentioned: blank: `unobserved`, `negative`, or `negative_if_no_finding`: negative in images with `No
            Finding`, but for support devices, and unobserved in others.
    """

    uncertain: str
    not_mentioned: str

    def labels(self, row: CsvRow, cells: Sequence[str], problems: Problems) -> list[int]:
        """The state of each of the 14 observations of an image."""
        states = {**STATED, **dict.fromkeys(UNCERTAIN, STATES[self.uncertain])}
        states[""] = NEGATIVE if self.not_mentioned == "negative" else UNOBSERVED
        try:
            labels = [states[cell] for cell in cells]
        except KeyError:
            for name, cell in zip(OBSERVATIONS, cells, strict=True):
                if cell not in states:
                    problems.add("labels", f"{row.where}: {name}: expected 1, 0, -1 or nothing, got {shown(cell)}")
            return [UNOBSERVED] * len(cells)
        if self.not_mentioned == "negative_if_no_finding" and labels[0] == POSITIVE:
            blank = [not cell and name != SUPPORT_DEVICES for name, cell in zip(OBSERVATIONS, cells, strict=True)]
            labels = [NEGATIVE if absent else label for absent, label in zip(blank, labels, strict=True)]
        return labels


@dataclass(frozen=True, kw_only=True)
class _Table:
    """One of the two tables: names from the folder of both, labels (N, C), patients and places."""

    names: tuple[str, ...]
    labels_NC: Labels
    patients: tuple[str, ...]
    places: tuple[str, ...]
    num_uncertain: int
    num_blank: int


def read_chexpert(
    root: Path,
    uncertain: str = "unobserved",
    not_mentioned: str = "unobserved",
    observations: str = "all",
    views: str = "all",
) -> Dataset:
    """CheXpert: 223,414 images of 64,540 patients to train on, 234 of 200 others to test on.

    Args:
        root: the folder with `train.csv`, `valid.csv`, `train` and `valid`, or the one above it.
        uncertain, not_mentioned: as in `Policy`.
        observations: `all` 14, or the five of the `competition`.
        views: `all`, or only `frontal` images.

    Raises:
        DataError: a file is missing or malformed, a patient has training and test images, or no image is there.
    """
    found = first_existing(*(folder / "train.csv" for folder in (root, *(root / name for name in FOLDERS))))
    if found is None:
        raise DataError(f"{root}: expected train.csv and valid.csv in it, or in {FOLDERS[0]} below it; {REMEDY}")
    home, policy = found.parent, Policy(uncertain=uncertain, not_mentioned=not_mentioned)
    classes = OBSERVATIONS if observations == "all" else COMPETITION
    train, test = (
        _read_table(home / f"{part}.csv", policy, classes, only_frontal=views == "frontal")
        for part in ("train", "valid")
    )
    problems = Problems()
    test_patients = list(zip(test.places, test.patients, strict=True))
    patients_in_both(train.patients, test_patients, problems, remedy="take these rows out of train.csv or of valid.csv")
    if problems:
        raise problems.error(home)
    train_split, kept, gone = _split(home, train, "train")
    test_split, kept_test, test_gone = _split(home, test, "valid")
    patients = tuple(train.patients[row] for row in kept)
    return Dataset(
        name="chexpert",
        classes=classes,
        train=train_split,
        test=test_split,
        image_size=320,
        horizontal_flip=False,  # the heart is on one side
        channels=3,
        groups=patients,
        notices=(
            _states_text(train, policy),
            patients_text({"train.csv": patients, "valid.csv": [test.patients[row] for row in kept_test]}),
            *filter(None, (gone, test_gone)),
        ),
    )


def _read_table(file: Path, policy: Policy, classes: tuple[str, ...], *, only_frontal: bool) -> _Table:
    rows, problems = read_columns(file, ("Path", VIEW, *OBSERVATIONS), remedy=REMEDY)
    places: dict[str, str] = {}
    patients, labels, num_uncertain, num_blank = list[str](), list[list[int]](), 0, 0
    columns = [OBSERVATIONS.index(name) for name in classes]
    for row in rows:
        path, view, *cells = row.cells
        named = PATH.search(path)
        if named is None:
            expected = "a path such as train/patient00001/study1/view1_frontal.jpg"
            problems.add("paths", f"{row.where}: expected {expected}, got {shown(path)}")
        elif view not in ("Frontal", "Lateral"):
            problems.add("views", f"{row.where}: {VIEW}: expected Frontal or Lateral, got {shown(view)}")
        elif named[1] in places:
            problems.add("paths", f"{row.where}: {named[1]} is listed twice: here and in {places[named[1]]}")
        elif not only_frontal or view == "Frontal":
            states = policy.labels(row, cells, problems)
            places[named[1]] = row.where
            patients.append(named[2])
            labels.append([states[column] for column in columns])
            chosen = [cells[column] for column in columns]
            num_uncertain += sum(map(chosen.count, UNCERTAIN))
            num_blank += chosen.count("")
    if problems:
        raise problems.error(file, remedy=REMEDY)
    if not places:
        raise DataError(f"{file}: no image from the front or the back; say `views: all` under data")
    return _Table(
        names=tuple(places),
        labels_NC=np.array(labels, dtype=np.int8),
        patients=tuple(patients),
        places=tuple(places.values()),
        num_uncertain=num_uncertain,
        num_blank=num_blank,
    )


def _split(home: Path, table: _Table, part: str) -> tuple[Split, list[int], str | None]:
    rows, notice = rows_there(home, table.names, part=f"{part}.csv", remedy=REMEDY)
    names = tuple(table.names[row] for row in rows)
    images = ImageFiles(folder=home, names=names)
    return Split(names=names, labels_NC=table.labels_NC[rows], images=images), rows, notice


def _states_text(table: _Table, policy: Policy) -> str:
    """What became of cells that say neither 1 nor 0."""
    total = table.labels_NC.size
    blank = policy.not_mentioned.replace("_", " ")
    return (
        f"train.csv: {table.num_uncertain / total:.1%} of the labels are uncertain (-1) and taken as "
        f"{policy.uncertain}, {table.num_blank / total:.1%} are not mentioned and taken as {blank}"
    )
