"""Every reader keeps the contract of `wsml_study.testing`. A new reader joins by an entry in `PLACES`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data import release_trees, trees
from wsml_study.data.label_files import FeatureFiles, LabelFiles
from wsml_study.data.reader_record import READERS, Reads, readers_of
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError
from wsml_study.testing.promises import promise_in_words
from wsml_study.testing.reader_contract import READER_CONTRACT, ReaderCase

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
    "visual_genome": lambda folder, make_voc: (release_trees.visual_genome(folder / "vg"), None),
    "lvis": lambda folder, make_voc: (release_trees.lvis(folder / "lvis"), None),
    "chexpert": lambda folder, make_voc: (release_trees.chexpert(folder / "chexpert"), None),
    "nih_chestxray14": lambda folder, make_voc: (release_trees.nih(folder / "nih"), None),
    "l48": lambda folder, make_voc: (release_trees.l48(folder / "l48"), None),
    "imagenet_multilabel": lambda folder, make_voc: (release_trees.imagenet(folder / "imagenet"), None),
    "table": lambda folder, make_voc: trees.table(folder / "photos"),
    "list": lambda folder, make_voc: trees.lists(folder / "photos"),
    "voc_xml": lambda folder, make_voc: trees.voc_xml(folder / "photos"),
    "coco_json": lambda folder, make_voc: trees.own_coco(folder / "photos"),
    "features": lambda folder, make_voc: trees.mulan(folder / "mulan"),
}


@pytest.mark.parametrize("promise", READER_CONTRACT, ids=promise_in_words)
@pytest.mark.parametrize("name", READERS)
def test_every_reader_keeps(
    name: str, promise: Callable[[ReaderCase], None], make_voc: Callable[..., Path], tmp_path: Path
) -> None:
    root, files = PLACES[name](tmp_path, make_voc)
    features = files if isinstance(files, FeatureFiles) else None
    labels = files if isinstance(files, LabelFiles) else None
    promise(ReaderCase(name=name, root=root, labels=labels, features=features))


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


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"digit_scenes, voc2007, .*, features, got 'voc2013'"):
        read_dataset("voc2013", root="somewhere")
