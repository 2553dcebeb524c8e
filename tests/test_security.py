"""What files from elsewhere cannot do. For tags in YAML see tests/study, for sockets end_to_end/test_loopback.py."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch

from tests.data import trees
from wsml_study.data.dataset import ImageFiles
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError, StudyFileError, TrainingError
from wsml_study.record.storage import open_storage
from wsml_study.study.reading import parse_study
from wsml_study.training.model_check import check_model
from wsml_study.workers.loop import state_from_bytes

GOOD = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}}
OUTSIDE = ["../secret.jpg", "/etc/hostname", "below/../../secret.jpg"]


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/tmp/x", ".hidden", "a\\b", "a\nb", ""])
def test_a_study_is_named_by_a_folder_within_its_storage(name: str) -> None:
    with pytest.raises(StudyFileError, match="name"):
        parse_study(GOOD | {"name": name}, source="test")


@pytest.mark.parametrize("name", ["a", "a..b", "0.1", "A-b_c"])
def test_every_name_that_a_study_may_have_stays_in_its_storage(name: str, tmp_path: Path) -> None:
    study = parse_study(GOOD | {"name": name, "storage": str(tmp_path)}, source="test")
    assert open_storage(study.storage, study.name).folder.resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_image_lies_outside_of_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lies outside of it\nlist images by names within this folder, or"):
        ImageFiles(folder=tmp_path, names=("a.jpg", name))
    ImageFiles(folder=tmp_path, names=("a..b.jpg", "below/c.jpg", "..d.jpg"))


@pytest.mark.parametrize("image", OUTSIDE[::2])
@pytest.mark.parametrize("dataset", ["table", "list", "coco_json"])
def test_labels_of_the_users_own_name_no_image_elsewhere(dataset: str, image: str, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    (root / "below").mkdir(parents=True)
    for name in ("a.jpg", "../secret.jpg"):
        (root / name).touch()
    labels = {
        "table": f"image,cat\na.jpg,1\n{image},0\n",
        "list": f"a.jpg,0\n{image},0\n",
        "coco_json": json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": image}],
                "categories": [{"id": 1, "name": "cat"}],
                "annotations": [{"image_id": 1, "category_id": 1}],
            }
        ),
    }
    file = tmp_path / f"labels.{'csv' if dataset == 'table' else 'json'}"
    file.write_text(labels[dataset])
    with pytest.raises(DataError, match="lies outside of it"):
        read_dataset(dataset, root=root, labels=LabelFiles(file=str(file), test_fraction=0.5))


def test_a_benchmarks_own_lists_name_no_image_elsewhere(tmp_path: Path) -> None:
    root = trees.coco(tmp_path, "2017")
    file = root / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    content["images"][0]["file_name"] = "../annotations/instances_val2017.json"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="lies outside of it"):
        read_dataset("coco2017", root=root)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    torch.save({"epoch": Code(tmp_path / "made")}, tmp_path / "state.pt")
    with pytest.raises(pickle.UnpicklingError):
        state_from_bytes((tmp_path / "state.pt").read_bytes(), torch.device("cpu"))
    assert not (tmp_path / "made").exists()


def test_a_file_of_weights_runs_no_code(tmp_path: Path) -> None:
    torch.save({"fc.weight": Code(tmp_path / "made")}, tmp_path / "weights.pth")
    with pytest.raises(TrainingError, match="does not hold the weights"):
        check_model("resnet18", str(tmp_path / "weights.pth"), None, image_sizes=[64], num_channels=3)
    assert not (tmp_path / "made").exists()
