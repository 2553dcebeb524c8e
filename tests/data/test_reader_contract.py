"""What every reader of a dataset promises. A new reader joins by an entry in `PLACES`."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data import trees
from wsml_study.data.dataset import Dataset, GivenFeatures, Split
from wsml_study.data.image_store import open_images
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.label_states import Labels, dense_rows, is_sparse
from wsml_study.data.reader_record import READERS, Reads, readers_of
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError

IMAGES = {"train": {"000007": {"car": 1, "dog": 0}, "000003": {"cat": 1}, "000005": {"cat": 1, "person": 1}}}


def small_voc(year: str, train_set: str, test_set: str) -> Callable[[Callable[..., Path]], Path]:
    def make(make_voc: Callable[..., Path]) -> Path:
        test = {"000011": {"person": 1}, "000010": {"tvmonitor": 1}}
        return make_voc(year, {train_set: IMAGES["train"], test_set: test})

    return make


Place = tuple[Path | None, LabelFiles | FeatureFiles | None]
PLACES: dict[str, Callable[[Path, Callable[..., Path]], Place]] = {
    "digit_scenes": lambda folder, make_voc: (None, None),
    "voc2007": lambda folder, make_voc: (small_voc("VOC2007", "trainval", "test")(make_voc), None),
    "voc2012": lambda folder, make_voc: (small_voc("VOC2012", "train", "val")(make_voc), None),
    "coco2014": lambda folder, make_voc: (trees.coco(folder / "coco", "2014"), None),
    "coco2017": lambda folder, make_voc: (trees.coco(folder / "coco", "2017"), None),
    "nuswide": lambda folder, make_voc: (trees.nuswide(folder / "nuswide"), None),
    "cub": lambda folder, make_voc: (trees.cub(folder / "cub"), None),
    "openimages_v3": lambda folder, make_voc: (trees.openimages(folder / "openimages"), None),
    "table": lambda folder, make_voc: trees.table(folder / "photos"),
    "list": lambda folder, make_voc: trees.lists(folder / "photos"),
    "voc_xml": lambda folder, make_voc: trees.voc_xml(folder / "photos"),
    "coco_json": lambda folder, make_voc: trees.own_coco(folder / "photos"),
    "features": lambda folder, make_voc: trees.mulan(folder / "mulan"),
}

READ_ELSEWHERE = """
import hashlib, json, sys
import numpy as np
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.reader_record import READERS, Reads, readers_of
from wsml_study.data.readers import read_dataset
from wsml_study.data.label_states import dense_rows
files = json.loads(sys.argv[3])
kind = {"features": FeatureFiles}.get(sys.argv[1], LabelFiles)
argument = {FeatureFiles: "features", LabelFiles: "labels"}[kind]
dataset = read_dataset(sys.argv[1], root=sys.argv[2] or None, **{argument: files and kind(**files)})
for split in (dataset.train, dataset.test):
    labels_NC = dense_rows(split.labels_NC, np.arange(len(split)))
    print(hashlib.sha256(repr(split.names).encode() + labels_NC.tobytes()).hexdigest())
print(*{"torch", "torchvision", "sklearn", "ray", "PIL"} & set(sys.modules))
"""


def read(name: str, place: Place) -> Dataset:
    root, files = place
    features = files if isinstance(files, FeatureFiles) else None
    labels = files if isinstance(files, LabelFiles) else None
    return read_dataset(name, root=root, labels=labels, features=features)


def dense(split: Split) -> Labels:
    return dense_rows(split.labels_NC, np.arange(len(split)))


@pytest.fixture(params=list(READERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(name: str, make_voc: Callable[..., Path], tmp_path: Path) -> Place:
    return PLACES[name](tmp_path, make_voc)


@pytest.fixture
def dataset(name: str, place: Place) -> Dataset:
    return read(name, place)


@pytest.fixture(params=["train", "test"])
def split(dataset: Dataset, request: pytest.FixtureRequest) -> Split:
    return dataset.train if request.param == "train" else dataset.test


def test_it_says_its_own_name(dataset: Dataset, name: str) -> None:
    assert dataset.name == name


def test_classes_are_unique_and_have_a_label_column_each(dataset: Dataset, split: Split) -> None:
    assert len(set(dataset.classes)) == len(dataset.classes) == split.labels_NC.shape[1]


def test_names_labels_and_images_go_together(split: Split) -> None:
    assert len(split) == len(split.names) == split.labels_NC.shape[0] == len(split.images) > 0
    assert len(set(split.names)) == len(split.names)


def test_labels_are_int8_states(split: Split) -> None:
    assert split.labels_NC.dtype == np.int8
    assert set(np.unique(dense(split))) <= {-1, 0, 1}


def test_labels_cannot_be_changed(split: Split) -> None:
    stored = split.labels_NC.data if is_sparse(split.labels_NC) else split.labels_NC
    with pytest.raises(ValueError, match="read-only"):
        stored[0] = 1


def test_train_and_test_share_no_image(dataset: Dataset) -> None:
    assert not set(dataset.train.names) & set(dataset.test.names)


def test_images_open_in_the_protocols_shape(dataset: Dataset, split: Split, tmp_path: Path) -> None:
    if isinstance(split.images, GivenFeatures):
        assert (dataset.image_size, dataset.channels, dataset.horizontal_flip) == (None, None, False)
        assert split.images.values_ND.dtype == np.float32
        assert len(np.unique(split.images.values_ND, axis=0)) == len(split)
        return
    assert dataset.image_size is not None
    assert dataset.channels is not None
    images = open_images(split.images, size=dataset.image_size, channels=dataset.channels, cache_dir=tmp_path / "store")
    assert images.shape == (len(split), dataset.channels, dataset.image_size, dataset.image_size)
    assert images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == len(split)  # all different: none is empty or in a wrong row


def test_reading_twice_gives_the_same(dataset: Dataset, name: str, place: Place) -> None:
    again = read(name, place)
    assert again.classes == dataset.classes
    for one, other in ((dataset.train, again.train), (dataset.test, again.test)):
        assert one.names == other.names
        np.testing.assert_array_equal(dense(one), dense(other))


def test_a_fresh_process_reads_the_same_without_torch_sklearn_or_images(name: str, place: Place) -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", READ_ELSEWHERE, name, str(place[0] or ""), json.dumps(place[1] and vars(place[1]))],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    (output,) = outputs
    assert output.splitlines()[2] == ""


def test_it_survives_pickle(dataset: Dataset) -> None:
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.train.names == dataset.train.names
    np.testing.assert_array_equal(dense(copy.train), dense(dataset.train))


@pytest.mark.parametrize("name", readers_of(Reads.FOLDER))
def test_an_empty_root_is_an_error_that_says_how_to_obtain_the_data(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)empty.*https?://"):
        read_dataset(name, root=tmp_path / "empty")


@pytest.mark.parametrize("name", readers_of(Reads.LABEL_FILES))
def test_a_missing_file_of_labels_is_an_error_that_says_which_key_names_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.csv.*`file` under data.labels"):
        read_dataset(name, root=tmp_path, labels=LabelFiles(file=str(tmp_path / "nowhere.csv")))


@pytest.mark.parametrize("name", readers_of(Reads.FOLDER))
def test_a_root_is_needed(name: str) -> None:
    with pytest.raises(ValueError, match="needs a root"):
        read_dataset(name)


def test_files_of_labels_go_with_labels_of_your_own_alone() -> None:
    with pytest.raises(ValueError, match="takes no files of labels"):
        read_dataset("cub", root="somewhere", labels=LabelFiles(file="labels.csv"))
    with pytest.raises(ValueError, match="needs files of labels"):
        read_dataset("table", root="somewhere")


def test_files_of_features_go_with_given_features_alone() -> None:
    with pytest.raises(ValueError, match="takes no files of features"):
        read_dataset("cub", root="somewhere", features=FeatureFiles(file="features.npy"))
    with pytest.raises(ValueError, match="needs files of features"):
        read_dataset("features", root="somewhere")


def test_embedded_data_takes_no_root() -> None:
    with pytest.raises(ValueError, match="takes no root"):
        read_dataset("digit_scenes", root="somewhere")


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"digit_scenes, voc2007, .*, features, got 'voc2013'"):
        read_dataset("voc2013", root="somewhere")
