"""What the readers make of small trees in the true layouts, and of the real annotations where they are at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from tests.data import trees
from wsml_study.data.coco import read_coco2014
from wsml_study.data.cub import read_cub
from wsml_study.data.lists import read_list
from wsml_study.data.nuswide import read_nuswide
from wsml_study.data.observation import train_and_validation_rows
from wsml_study.data.openimages_v3 import frequency_groups, read_openimages_v3
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError


def test_coco_sorts_ids_as_text_and_leaves_out_images_without_annotations(tmp_path: Path) -> None:
    dataset = read_coco2014(trees.coco(tmp_path, "2014"))
    assert dataset.classes == ("cat", "dog", "traffic light")
    assert dataset.train.names == ("ten.jpg", "hundred.jpg", "a nine.jpg")  # 10, 100, 9
    assert dataset.train.labels_NC.tolist() == [[1, -1, -1], [-1, 1, -1], [1, 1, -1]]
    assert dataset.test.names == ("forty.jpg", "five.jpg")


def test_nuswide_reads_backslashes_and_says_how_many_photos_are_gone(tmp_path: Path) -> None:
    dataset = read_nuswide(trees.nuswide(tmp_path / "nuswide"))
    assert dataset.classes == ("sky", "sun set", "waterfall")
    assert dataset.train.names == ("sky/1.jpg", "sun/2 a.jpg")
    assert dataset.train.labels_NC.tolist() == [[1, -1, -1], [-1, 1, -1]]
    assert dataset.test.labels_NC.tolist() == [[1, 1, -1], [-1, 1, -1]]
    assert [notice.split(" are not")[0] for notice in dataset.notices] == ["1 of 3 images of Train"]


def test_the_recrawled_nuswide_has_the_81_concepts_in_the_order_of_their_list(
    tmp_path: Path, shared_data: Path
) -> None:
    dataset = read_nuswide(trees.nuswide_recrawled(tmp_path / "nuswide"))
    official = (shared_data / "annotations/cub/nuswide_labels.txt").read_text().splitlines()
    assert list(dataset.classes) == official
    assert (dataset.train.labels_NC == 1).nonzero()[1].tolist() == [3, 3]


def test_cub_takes_its_attributes_as_classes_and_follows_images_txt(tmp_path: Path) -> None:
    dataset = read_cub(trees.cub(tmp_path))
    assert dataset.classes[0] == "has_bill_shape::curved (up or down)"
    assert dataset.train.names == ("001.Albatross/one.jpg", "001.Albatross/two words.jpg")
    assert dataset.train.labels_NC.tolist() == [[1, -1, -1], [-1, 1, -1]]
    assert dataset.test.labels_NC.tolist() == [[1, 1, -1], [-1, 1, -1]]


def test_openimages_keeps_what_people_verified_and_nothing_else(tmp_path: Path) -> None:
    dataset = read_openimages_v3(trees.openimages(tmp_path / "openimages"))
    assert dataset.classes == ("Plate, dinner", "Cat (/m/02)", "Cat (/m/03)", "/m/04", "/m/05")
    assert dataset.train.names == ("000000000000000b.jpg", "000000000000000c.jpg", "00000000000000aa.jpg")
    assert dataset.train.labels_NC.toarray().tolist() == [[0, -1, 0, 0, 0], [0, 0, 0, 1, 0], [1, 1, 0, 0, 0]]
    assert dataset.train.labels_NC.nnz == 4
    assert dataset.notices[0].startswith("train: 3 of 4 annotated images are in")
    assert frequency_groups(dataset.train.labels_NC).tolist() == [3, 5, 1, 4, 2]


def test_openimages_validates_on_its_own_validation_subset_if_asked(tmp_path: Path) -> None:
    dataset = read_dataset("openimages_v3", root=trees.openimages(tmp_path / "oi"), validation_subset="official")
    drawn = read_openimages_v3(tmp_path / "oi")
    train, validation = train_and_validation_rows(dataset, 0.2, 1200)
    names = np.array(dataset.train.names)
    assert names[train].tolist() == [f"train/{name}" for name in drawn.train.names]
    assert names[validation].tolist() == ["validation/0000000000000001.jpg", "validation/000000000000000b.jpg"]
    assert dataset.train.labels_NC.toarray()[validation].tolist() == [[0, 0, 0, -1, 0], [0, 0, 0, 0, 1]]
    assert dataset.class_groups == drawn.class_groups == (3, 5, 1, 4, 2), "counted in the subset train alone"
    assert all((dataset.train.images.folder / name).exists() for name in names)


def test_openimages_images_are_found_where_the_authors_put_them(tmp_path: Path) -> None:
    root = trees.openimages(tmp_path / "oi")
    (root / "2017_11").mkdir()
    for name in ("classes-trainable.txt", "class-descriptions.csv"):
        (root / name).rename(root / "2017_11" / name)
    for subset, folder in (("train", "images_train"), ("validation", "images_val"), ("test", "images_test")):
        (root / subset).rename(root / folder)
        (root / "2017_11" / subset).mkdir()
        (root / folder / "annotations-human.csv").rename(root / "2017_11" / subset / "annotations-human.csv")
    dataset = read_openimages_v3(root, validation_subset="official")
    assert (len(dataset.train), len(dataset.test)) == (5, 2)
    assert dataset.test.images.folder == root / "images_test"


def test_nuswide_takes_the_release_that_is_named(tmp_path: Path) -> None:
    root = trees.nuswide_recrawled(trees.nuswide(tmp_path / "nuswide"))
    trees.photos(root / "Flickr", ["a.jpg", "b.jpg", "c.jpg"])
    assert len(read_dataset("nuswide", root=root).classes) == 81, "as before where both are there"
    assert len(read_dataset("nuswide", root=root, release="recrawled").classes) == 81
    assert len(read_dataset("nuswide", root=root, release="official").classes) == 3
    with pytest.raises(DataError, match=r"data\.release is recrawled; download .*https?://"):
        read_dataset("nuswide", root=trees.nuswide(tmp_path / "official alone"), release="recrawled")


FILES = {
    "coco2014": (
        lambda root: trees.coco(root, "2014"),
        ["annotations/instances_train2014.json", "annotations/instances_val2014.json"],
    ),
    "nuswide": (
        trees.nuswide,
        ["Concepts81.txt", "ImageList/TestImagelist.txt", "TrainTestLabels/Labels_sky_Train.txt"],
    ),
    "nuswide, re-crawled": (trees.nuswide_recrawled, ["formatted_train_labels.npy", "formatted_val_images.npy"]),
    "cub": (
        trees.cub,
        [
            "CUB_200_2011/images.txt",
            "CUB_200_2011/train_test_split.txt",
            "attributes.txt",
            "CUB_200_2011/attributes/image_attribute_labels.txt",
        ],
    ),
    "openimages_v3": (trees.openimages, ["classes-trainable.txt", "train/annotations-human.csv"]),
}


@pytest.mark.parametrize(
    ("make", "dataset", "file"),
    [(make, name.partition(",")[0], file) for name, (make, files) in FILES.items() for file in files],
)
class TestEveryFileOfEveryBenchmark:
    def test_is_missed_by_its_name_with_the_way_to_obtain_it(
        self, make: Callable[[Path], Path], dataset: str, file: str, tmp_path: Path
    ) -> None:
        root = make(tmp_path / "data")
        (root / file).unlink()
        with pytest.raises(DataError, match=rf"(?s){Path(file).name}.*https?://"):
            read_dataset(dataset, root=root)

    def test_is_an_error_when_it_holds_nonsense(
        self, make: Callable[[Path], Path], dataset: str, file: str, tmp_path: Path
    ) -> None:
        root = make(tmp_path / "data")
        (root / file).write_bytes(b"\x00 what is this\n")
        with pytest.raises(DataError):
            read_dataset(dataset, root=root)


@pytest.mark.parametrize(
    ("make", "dataset", "photo"),
    [
        (lambda root: trees.coco(root, "2014"), "coco2014", "train2014/ten.jpg"),
        (trees.cub, "cub", "CUB_200_2011/images/002.Gull/four.jpg"),
    ],
)
def test_a_photo_that_is_gone_is_named(make: Callable[[Path], Path], dataset: str, photo: str, tmp_path: Path) -> None:
    root = make(tmp_path / "data")
    (root / photo).unlink()
    with pytest.raises(DataError, match=Path(photo).name):
        read_dataset(dataset, root=root)


def test_an_annotation_of_an_unknown_image_or_category_is_named(tmp_path: Path) -> None:
    root = trees.coco(tmp_path, "2014")
    (root / "annotations/instances_val2014.json").write_text(
        trees.instances({5: "five.jpg"}, [(5, 3), (6, 3), (5, 90)])
    )
    with pytest.raises(DataError, match=r"(?s)image 6.*category 90"):
        read_coco2014(root)


def test_coco_2017_equals_an_independent_reading(shared_data: Path) -> None:
    root = shared_data / "coco2017_mini"
    dataset = read_dataset("coco2017", root=root)
    assert (len(dataset.train), len(dataset.test), len(dataset.classes)) == (
        166,
        186,
        80,
    )  # two of the 188 show nothing annotated
    for part, split in (("train", dataset.train), ("val", dataset.test)):
        official = COCO(root / f"annotations/instances_{part}2017.json")
        assert dataset.classes == tuple(one["name"] for one in official.loadCats(sorted(official.getCatIds())))
        by_file = {
            image["file_name"]: {
                official.cats[one["category_id"]]["name"] for one in official.loadAnns(official.getAnnIds(image["id"]))
            }
            for image in official.loadImgs(official.getImgIds())
        }
        assert set(split.names) == {name for name, shown in by_file.items() if shown}
        for name, labels_C in zip(split.names, split.labels_NC, strict=True):
            assert {dataset.classes[column] for column in np.flatnonzero(labels_C == 1)} == by_file[name]


@pytest.mark.parametrize(
    ("file", "shape", "positives"),
    [
        ("voc_val.txt", (5823, 20), 1.52),
        ("coco_train_full.txt", (82081, 80), 2.94),
        ("nus_val.txt", (50720, 81), 2.44),
        ("cub_val.txt", (5794, 312), 31.5),
    ],
)
def test_the_shared_lists_have_the_published_shapes_and_means(
    file: str, shape: tuple[int, int], positives: float, shared_data: Path
) -> None:
    labelled = read_list(shared_data / "annotations/spml_lists" / file, None)
    assert labelled.labels_NC.shape == shape
    digits = 1 if positives > 10 else 2
    assert round((labelled.labels_NC == 1).sum() / len(labelled.names), digits) == positives


def test_cubs_images_in_the_public_lists_are_in_the_order_of_images_txt(shared_data: Path) -> None:
    published = np.load(shared_data / "annotations/cub/formatted_val_images.npy")
    assert read_list(shared_data / "annotations/spml_lists/cub_val.txt", None).names == tuple(map(str, published))


def test_openimages_has_5000_trainable_classes(shared_data: Path) -> None:
    lines = (shared_data / "annotations/openimages_v3_2017_11/classes-trainable.txt").read_text().split()
    assert len(set(lines)) == 5000
