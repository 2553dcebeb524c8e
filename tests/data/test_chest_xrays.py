"""CheXpert and ChestX-ray14: what cells stand for, and patients on one side of each split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data import release_trees
from tests.data.trees import photos
from wsml_study.data.chexpert import OBSERVATIONS, read_chexpert
from wsml_study.data.dataset import Dataset
from wsml_study.data.nih_chestxray14 import CLASSES, read_nih_chestxray14
from wsml_study.data.observation import train_and_validation_rows
from wsml_study.errors import DataError


def states(dataset: Dataset, row: int, *names: str) -> list[int]:
    """Of some classes in a training image."""
    return [int(dataset.train.labels_NC[row, dataset.classes.index(name)]) for name in names]


def test_chexpert_keeps_what_reports_leave_open_unknown(tmp_path: Path) -> None:
    dataset = read_chexpert(release_trees.chexpert(tmp_path))
    assert dataset.classes == OBSERVATIONS
    assert dataset.train.names[:2] == (
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00002/study2/view1_frontal.jpg",
    )
    assert states(dataset, 0, "No Finding", "Pneumothorax", "Edema", "Support Devices") == [1, -1, 0, 1]
    assert states(dataset, 1, "Lung Opacity", "Cardiomegaly", "Pneumonia") == [1, 0, 0]
    assert dataset.groups == ("patient00001", "patient00002", "patient00002", "patient00003")
    assert (dataset.test.labels_NC != 0).all()
    assert dataset.notices == (
        "train.csv: 8.6% of the labels are uncertain (-1) and taken as unobserved, 75.7% are not mentioned and "
        "taken as unobserved",
        "patients: 3 in train.csv, 2 in valid.csv, none in both; validation images are drawn by whole patients",
        f"1 of 5 images of train.csv are not in {tmp_path / 'CheXpert-v1.0-small'} and are left out",
    )


@pytest.mark.parametrize(("uncertain", "state"), [("positive", 1), ("negative", -1), ("unobserved", 0)])
def test_chexpert_takes_uncertain_labels_as_asked(tmp_path: Path, uncertain: str, state: int) -> None:
    dataset = read_chexpert(release_trees.chexpert(tmp_path), uncertain=uncertain)
    assert states(dataset, 1, "Cardiomegaly", "Consolidation", "Pneumonia") == [state, state, 0]


def test_chexpert_takes_what_is_not_mentioned_as_asked(tmp_path: Path) -> None:
    root = release_trees.chexpert(tmp_path)
    names = ("No Finding", "Edema", "Fracture", "Support Devices")
    everywhere = read_chexpert(root, not_mentioned="negative")
    assert [states(everywhere, row, *names) for row in (0, 1, 3)] == [[1, -1, -1, 1], [-1, 0, 1, -1], [-1, 1, -1, -1]]
    where_healthy = read_chexpert(root, not_mentioned="negative_if_no_finding")
    assert [states(where_healthy, row, *names) for row in (0, 3)] == [[1, -1, -1, 1], [0, 1, 0, 0]]
    table = root / "CheXpert-v1.0-small/train.csv"
    table.write_text(table.read_text().replace("0.0,,,,1.0", "0.0,,,,"))
    healthy = read_chexpert(root, not_mentioned="negative_if_no_finding")
    assert states(healthy, 0, *names) == [1, -1, -1, 0], "a healthy chest may have devices"


def test_chexpert_can_be_the_five_observations_of_the_competition_from_the_front(tmp_path: Path) -> None:
    dataset = read_chexpert(release_trees.chexpert(tmp_path), observations="competition", views="frontal")
    assert dataset.classes == ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
    assert len(dataset.train) == 3
    assert dataset.train.labels_NC[2].tolist() == [0, 0, 0, 1, 0]


def test_nih_findings_are_split_at_bars_and_lists_decide(tmp_path: Path) -> None:
    dataset = read_nih_chestxray14(release_trees.nih(tmp_path / "nih"))
    assert dataset.classes == CLASSES
    assert dataset.train.names == ("00000001_000.png", "00000001_001.png", "00000002_000.png")
    found = [[CLASSES[column] for column in np.flatnonzero(row == 1)] for row in dataset.train.labels_NC]
    assert found == [["Cardiomegaly"], ["Cardiomegaly", "Emphysema"], []]
    assert (dataset.train.labels_NC != 0).all()
    assert dataset.notices == (
        "findings that a report does not list are taken as negative; with No Finding all are negative",
        "patients: 2 in train_val_list.txt, 1 in test_list.txt, none in both; validation images are drawn by whole "
        "patients",
        "1 of 4 images of train_val_list.txt are not there and are left out",
        "1 of 7 images of Data_Entry_2017.csv are in neither list and are left out",
    )


def test_nih_can_leave_unlisted_findings_unknown(tmp_path: Path) -> None:
    labels_NC = read_nih_chestxray14(release_trees.nih(tmp_path / "nih"), unlisted="unobserved").train.labels_NC
    assert [sorted(set(row.tolist())) for row in labels_NC] == [[0, 1], [0, 1], [-1]]


MAKE: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Dataset]]] = {
    "chexpert": (release_trees.chexpert, read_chexpert),
    "nih": (release_trees.nih, read_nih_chestxray14),
}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("seed", range(5))
def test_validation_never_shares_a_patient_with_training(tmp_path: Path, name: str, seed: int) -> None:
    make, read = MAKE[name]
    dataset = read(make(tmp_path / name))
    train, validation = train_and_validation_rows(dataset, 0.4, seed)
    assert dataset.groups is not None
    sides = [{dataset.groups[row] for row in rows} for rows in (train, validation)]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_a_patient_in_training_and_test_is_refused(tmp_path: Path) -> None:
    root = release_trees.chexpert(tmp_path / "chexpert")
    table = root / "CheXpert-v1.0-small/valid.csv"
    table.write_text(table.read_text().replace("patient64542", "patient00003"))
    with pytest.raises(DataError, match=r"(?s)valid.csv:3: 'patient00003' has training images.*too good"):
        read_chexpert(root)
    root = release_trees.nih(tmp_path / "nih")
    with (root / "test_list.txt").open("a") as file:
        file.write("\n00000005_000.png\n")
    photos(root / "images_002/images", ["00000005_000.png"])
    table = root / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("Edema,0,5", "Edema,0,1"))
    with pytest.raises(DataError, match=r"test_list.txt:3: 00000005_000.png: '1' has training images"):
        read_nih_chestxray14(root)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "1.0,,,,,,,,,0.0,,,,1.0",
            "1.0,,,,,,,,,2,,,,1.0",
            r"train.csv:2: Pneumothorax: expected 1, 0, -1 or nothing, got '2'",
        ),
        ("Frontal,AP,1.0", "Top,AP,1.0", r"train.csv:2: Frontal/Lateral: expected Frontal or Lateral, got 'Top'"),
        ("train/patient00003", "train/p3", r"train.csv:5: expected a path such as train/patient00001"),
        (
            "patient00003/study1/view1",
            "patient00002/study2/view1",
            r"train.csv:5: .* is listed twice: here and in train.csv:3",
        ),
        ("Fracture,", "", r"train.csv:1: no column Fracture"),
        (",68,", ",68,1,", r"train.csv:2: expected 19 cells, got 20"),
    ],
)
def test_chexpert_errors_name_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    root = release_trees.chexpert(tmp_path)
    table = root / "CheXpert-v1.0-small/train.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        read_chexpert(root)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "Data_Entry_2017.csv",
            "Emphysema",
            "Emphesyma",
            r"csv:3: expected names of the 14 findings .* got 'Emphesyma'",
        ),
        ("Data_Entry_2017.csv", ",No Finding,", ",No Finding|Mass,", r"csv:4: expected .* alone, got 'No Finding'"),
        ("Data_Entry_2017.csv", "00000002_000.png", "00000001_000.png", r"csv:4: 00000001_000.png is listed twice"),
        ("train_val_list.txt", "00000002_000.png", "00000009_000.png", r"list.txt:3: '00000009_000.png' has no row"),
        (
            "test_list.txt",
            "00000003_001.png",
            "00000001_000.png",
            r"00000001_000.png is in both lists: train_val_list.txt:1",
        ),
    ],
)
def test_nih_errors_name_the_line(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    root = release_trees.nih(tmp_path / "nih")
    assert old in (root / file).read_text()
    (root / file).write_text((root / file).read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_nih_chestxray14(root)
