"""NIH ChestX-ray14: chest X-rays with 14 findings that were mined from reports, from its own layout.

`Data_Entry_2017.csv` (or `_v2020`) names the findings of each image, `A|B` or `No Finding`, and its patient;
`train_val_list.txt` and `test_list.txt` say which images to train and to test on. A patient is never on both sides of a
split. A finding that the report does not list is taken as absent, as in the literature, or as unknown.

Source: Wang et al., "ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks", CVPR 2017; sizes and flips as in
Rajpurkar et al., "CheXNet", 2017. Shapes: N images, C = 14 findings, in the order of the release's description.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsml_study.data.csv_columns import read_columns
from wsml_study.data.dataset import Dataset, ImageFiles, Split
from wsml_study.data.label_states import NEGATIVE, POSITIVE, UNOBSERVED, Labels
from wsml_study.data.patients import patients_in_both, patients_text
from wsml_study.data.problem_list import Problems, shown
from wsml_study.data.text_lines import first_existing, numbered_lines
from wsml_study.errors import DataError

REMEDY = "download ChestX-ray14 from https://nihcc.app.box.com/v/ChestXray-NIHCC and unpack it"
TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
NO_FINDING = "No Finding"
CLASSES = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A row of the table: where it is, the labels (C,), and the patient."""

    where: str
    states: list[int]
    patient: str


def read_nih_chestxray14(root: Path, unlisted: str = "negative") -> Dataset:
    """ChestX-ray14: 86,524 images of 28,008 patients to train on, 25,596 of 2,797 others to test on.

    Args:
        root: the folder with the table and the two lists; images in `images`, or in `images_001/images` and so on.
        unlisted: what a finding is that is not listed, `negative` or `unobserved`; with `No Finding` all are negative.

    Raises:
        DataError: a file is missing or malformed, the lists share an image or a patient, or no image is there.
    """
    table = first_existing(*(root / name for name in TABLES))
    if table is None:
        raise DataError(f"{root}: expected {TABLES[1]} or {TABLES[0]} in it; {REMEDY}")
    entries = _read_table(table, NEGATIVE if unlisted == "negative" else UNOBSERVED)
    listed = {part: _read_list(root / name, entries, table) for part, name in LISTS.items()}
    _check_lists(root, listed, entries)
    paths = _image_paths(root)
    train, gone = _split(root, "train", listed["train"], entries, paths)
    test, test_gone = _split(root, "test", listed["test"], entries, paths)
    patients = {
        name: tuple(entries[image].patient for image in split.names)
        for name, split in zip(LISTS.values(), (train, test), strict=True)
    }
    number = len(entries) - sum(map(len, listed.values()))
    unused = (
        f"{number:,} of {len(entries):,} images of {table.name} are in neither list and are left out"
        if number
        else None
    )
    return Dataset(
        name="nih_chestxray14",
        classes=CLASSES,
        train=train,
        test=test,
        image_size=224,
        horizontal_flip=True,
        channels=3,
        groups=patients[LISTS["train"]],
        notices=(
            f"findings that a report does not list are taken as {unlisted}; with {NO_FINDING} all are negative",
            patients_text(patients),
            *filter(None, (gone, test_gone, unused)),
        ),
    )


def _read_table(file: Path, unlisted: int) -> dict[str, _Entry]:
    """The entry of each image."""
    rows, problems = read_columns(file, ("Image Index", "Finding Labels", "Patient ID"), remedy=REMEDY)
    entries: dict[str, _Entry] = {}
    columns = {name: column for column, name in enumerate(CLASSES)}
    for row in rows:
        image, findings, patient = row.cells
        found = findings.split("|")
        if image in entries:
            problems.add("images", f"{row.where}: {image} is listed twice: here and in {entries[image].where}")
        elif not patient or not image:
            problems.add(
                "empty cells", f"{row.where}: expected an image and its patient, got {shown(','.join(row.cells))}"
            )
        elif found == [NO_FINDING]:
            entries[image] = _Entry(where=row.where, states=[NEGATIVE] * len(CLASSES), patient=patient)
        elif unknown := [name for name in found if name not in columns]:
            expected = f"names of the 14 findings with | between them, or {NO_FINDING} alone"
            problems.add("findings", f"{row.where}: expected {expected}, got {shown(unknown[0])} in {shown(findings)}")
        else:
            states = [unlisted] * len(CLASSES)
            for name in found:
                states[columns[name]] = POSITIVE
            entries[image] = _Entry(where=row.where, states=states, patient=patient)
    if problems:
        raise problems.error(file, remedy=REMEDY)
    return entries


def _read_list(file: Path, entries: dict[str, _Entry], table: Path) -> dict[str, str]:
    """Images of a list, and where they are listed."""
    places: dict[str, str] = {}
    problems = Problems()
    for number, image in numbered_lines(file, remedy=REMEDY):
        where = f"{file.name}:{number}"
        if image in places:
            problems.add("images", f"{where}: {image} is listed twice: here and in {places[image]}")
        elif image not in entries:
            problems.add("images without a row", f"{where}: {shown(image)} has no row in {table.name}")
        places.setdefault(image, where)
    if problems:
        raise problems.error(file, remedy=REMEDY)
    return places


def _check_lists(root: Path, listed: dict[str, dict[str, str]], entries: dict[str, _Entry]) -> None:
    problems = Problems()
    for image in listed["test"]:
        if image in listed["train"]:
            places = f"{listed['train'][image]} and {listed['test'][image]}"
            problems.add("images in both lists", f"{image} is in both lists: {places}", remedy=REMEDY)
    patients_in_both(
        [entries[image].patient for image in listed["train"]],
        [(f"{where}: {image}", entries[image].patient) for image, where in listed["test"].items()],
        problems,
        remedy="use the lists of the release, or lists that keep each patient's images together",
    )
    if problems:
        raise problems.error(root)


def _image_paths(root: Path) -> dict[str, str]:
    """Where below the root each image is, by its name."""
    folders = [root / "images", *sorted(root.glob("images_*/images")), *sorted(root.glob("images_*"))]
    paths: dict[str, str] = {}
    for folder in folders:
        if folder.is_dir():
            home = folder.relative_to(root).as_posix()
            for name in os.listdir(folder):  # noqa: PTH208  only names: one call for all images
                paths.setdefault(name, f"{home}/{name}")
    return paths


def _split(
    root: Path, part: str, listed: Sequence[str] | dict[str, str], entries: dict[str, _Entry], paths: dict[str, str]
) -> tuple[Split, str | None]:
    names = tuple(image for image in listed if image in paths)
    if not names:
        raise DataError(
            f"{root}: none of the {len(listed):,} images of {LISTS[part]} is in images or in images_001/images and so "
            f"on; {REMEDY}"
        )
    labels_NC: Labels = np.array([entries[image].states for image in names], dtype=np.int8)
    images = ImageFiles(folder=root, names=tuple(paths[image] for image in names))
    number = len(listed) - len(names)
    notice = f"{number:,} of {len(listed):,} images of {LISTS[part]} are not there and are left out" if number else None
    return Split(names=names, labels_NC=labels_NC, images=images), notice
