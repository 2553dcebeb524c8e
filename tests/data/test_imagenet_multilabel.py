"""ImageNet: single labels to train on, and two kinds of multi-labels to test on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.release_trees import WNIDS, imagenet
from wsml_study.data.dataset import ImageFiles
from wsml_study.data.imagenet_multilabel import read_imagenet_multilabel
from wsml_study.data.label_states import dense_rows
from wsml_study.data.observation import train_and_validation_rows
from wsml_study.errors import DataError


def test_a_training_image_shows_the_class_of_its_folder_and_the_rest_is_unknown(tmp_path: Path) -> None:
    dataset = read_imagenet_multilabel(imagenet(tmp_path / "imagenet"), judged_validation=0.0)
    assert dataset.classes == ("tench", f"crane ({WNIDS[1]})", f"crane ({WNIDS[2]})", "maillot")
    assert dataset.train.names[:2] == (f"train/{WNIDS[0]}/{WNIDS[0]}_10.JPEG", f"train/{WNIDS[0]}/{WNIDS[0]}_9.JPEG")
    labels_NC = dense_rows(dataset.train.labels_NC, np.arange(6))
    assert labels_NC.tolist() == [[1, 0, 0, 0]] * 2 + [[0, 1, 0, 0]] * 2 + [[0, 0, 1, 0]] * 2


def test_real_labels_go_by_the_numbers_of_the_images(tmp_path: Path) -> None:
    dataset = read_imagenet_multilabel(imagenet(tmp_path / "imagenet"), judged_validation=0.0)
    assert dataset.test.names == tuple(
        name
        for name in (
            "val/ILSVRC2012_val_00000001.JPEG",
            "val/ILSVRC2012_val_00000003.JPEG",
            f"val/{WNIDS[0]}/ILSVRC2012_val_00000004.JPEG",
            "val/ILSVRC2012_val_00000005.JPEG",
            f"val/{WNIDS[0]}/ILSVRC2012_val_00000006.JPEG",
        )
    )
    assert dataset.test.labels_NC.tolist() == [
        [1, -1, -1, -1],
        [-1, 1, 1, -1],
        [-1, -1, -1, 1],
        [1, -1, -1, 1],
        [-1, 1, -1, -1],
    ]
    assert dataset.notices[1].endswith("1 on which no class was found are left out")


def test_unclear_classes_of_shankar_et_al_are_unknown(tmp_path: Path) -> None:
    dataset = read_imagenet_multilabel(imagenet(tmp_path / "imagenet"), multilabels="shankar", judged_validation=0.0)
    assert dataset.test.labels_NC.tolist() == [[1, -1, 0, -1], [-1, 1, 1, -1], [-1, -1, -1, -1]]
    assert dataset.notices[1].endswith("1 that are marked as problematic are left out")


def test_a_share_of_the_judged_images_validates(tmp_path: Path) -> None:
    dataset = read_imagenet_multilabel(imagenet(tmp_path / "imagenet"), judged_validation=0.4)
    train, validation = train_and_validation_rows(dataset, 0.2, 1)
    assert (len(train), len(validation), len(dataset.test)) == (6, 2, 3)
    assert all(name.startswith("train/") for name in np.array(dataset.train.names)[train])
    assert (dense_rows(dataset.train.labels_NC, validation) != 0).all()
    assert not set(dataset.train.names) & set(dataset.test.names)
    assert isinstance(dataset.train.images, ImageFiles)
    assert all((dataset.train.images.folder / name).exists() for name in dataset.train.images.names)


def test_numbers_of_classes_need_all_classes(tmp_path: Path) -> None:
    root = imagenet(tmp_path / "imagenet")
    (root / "LOC_synset_mapping.txt").unlink()
    with pytest.raises(DataError, match=r"expected a folder for each of 1,000 classes, found 3; real.json numbers all"):
        read_imagenet_multilabel(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [[0], [], [7], [3], [0], [1]],
            r"entry 2 \(ILSVRC2012_val_00000003.JPEG\): expected numbers of classes below 4",
        ),
        ([[0], [], [1]], "expected labels of ILSVRC2012_val_0000000[456].JPEG as well, got 3 entries"),
        ({"a": 1}, "expected a list of classes per image"),
        ([[], [], [], [], [], []], "none of its images has multi-labels"),
    ],
)
def test_real_labels_that_do_not_fit_are_refused(tmp_path: Path, content: object, message: str) -> None:
    root = imagenet(tmp_path / "imagenet")
    (root / "real.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_imagenet_multilabel(root)


@pytest.mark.parametrize(
    ("annotated", "message"),
    [
        ({"correct": ["n09999999"]}, "JPEG: correct: 'n09999999' is no class of the folder"),
        ({"correct": [WNIDS[0]], "wrong": [WNIDS[0]]}, f"JPEG: {WNIDS[0]} is correct, and something else as well"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(tmp_path: Path, annotated: object, message: str) -> None:
    root = imagenet(tmp_path / "imagenet")
    content = {"initial_annots": {"ILSVRC2012_val_00000001.JPEG": annotated}, "problematic_images": {}}
    (root / "human_accuracy_v3.0.0.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_imagenet_multilabel(root, multilabels="shankar")
