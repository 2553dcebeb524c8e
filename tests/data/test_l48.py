"""L48: what each kind of supervision knows of a clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.release_trees import L48_SPECIES, l48
from wsml_study.data.l48 import read_l48
from wsml_study.data.observation import train_and_validation_rows
from wsml_study.errors import DataError


@pytest.mark.parametrize(
    ("supervision", "labels"),
    [
        ("target", [[1, 0, 0]]),
        ("geo", [[1, 0, -1], [0, 0, -1], [0, 0, -1]]),
        ("checklist", [[1, -1, -1], [0, -1, -1], [0, -1, -1]]),
        ("full", [[1, -1, -1], [-1, -1, -1], [0, 0, -1]]),
    ],
)
def test_training_labels_are_as_weak_as_asked(tmp_path: Path, supervision: str, labels: list[list[int]]) -> None:
    """A target that is absent from a clip is unknown but in `full`; clips of which nothing is known are left out."""
    dataset = read_l48(l48(tmp_path / "l48"), supervision=supervision)
    train, validation = train_and_validation_rows(dataset, 0.2, 1200)
    assert dataset.classes == L48_SPECIES
    assert dataset.train.labels_NC[train].tolist() == labels
    assert dataset.train.labels_NC[validation].tolist() == [[1, 1, -1]], "experts' labels, none unknown"
    assert (dataset.test.names, dataset.test.labels_NC.tolist()) == (("images/8000/5.jpg",), [[-1, -1, 1]])
    assert dataset.notices[0].endswith(f"{3 - len(labels)} training images of which nothing is known are left out")
    assert "; 1 and 1 images with unknown species are left out" in dataset.notices[1]


def changed(file: Path, place: int, **keys: Any) -> None:
    content = json.loads(file.read_text())
    content[place] |= keys
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "place", "keys", "message"),
    [
        ("clips.json", 0, {"present_species_codes": ["amerob"]}, "clip 0: 'amerob' is in two of its lists"),
        ("clips.json", 0, {"absent_species_codes": ["auk"]}, "clip 0: 'auk' is no species of taxa.csv"),
        ("clips.json", 1, {"asset_id": 99}, "clip 1: no recording 99 in train or test"),
        ("clips.json", 1, {"file_path": None}, "entry 1: expected `file_path`, a str, got 'None'"),
        ("assets.json", 0, {"possible_species_codes": ["amegfi"]}, None),
        ("assets.json", 1, {"split": "test"}, "val_split.npy: recording 5 is no training recording"),
        (
            "assets.json",
            0,
            {"possible_species_codes": 3},
            "entry 0: expected `possible_species_codes`, a list, got '3'",
        ),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, file: str, place: int, keys: dict[str, Any], message: str | None
) -> None:
    root = l48(tmp_path / "l48")
    changed(root / file, place, **keys)
    if message is None:  # the target is present whatever the ranges of species say
        assert read_l48(root, supervision="geo").train.labels_NC[0].tolist() == [1, 0, -1]
        return
    with pytest.raises(DataError, match=message):
        read_l48(root, supervision="geo")


def test_a_present_species_that_ranges_exclude_is_refused(tmp_path: Path) -> None:
    root = l48(tmp_path / "l48")
    changed(root / "clips.json", 0, present_species_codes=["amecro", "amerob"], absent_species_codes=["amegfi"])
    with pytest.raises(
        DataError, match="clip 0: 'amerob' is present, and possible_species_codes of recording 3 lacks it"
    ):
        read_l48(root, supervision="geo")
    assert read_l48(root).train.labels_NC[0].tolist() == [1, 0, 0]


def test_the_published_validation_recordings_are_needed(tmp_path: Path) -> None:
    root = l48(tmp_path / "l48")
    np.save(root / "val_split.npy", np.array(["a"]))
    with pytest.raises(DataError, match=r"expected the ids of recordings; put val_split.npy"):
        read_l48(root)
    (root / "val_split.npy").unlink()
    with pytest.raises(DataError, match=r"val_split.npy: No such file.*l48-benchmarking"):
        read_l48(root)
