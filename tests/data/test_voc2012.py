"""Pascal VOC 2007 and 2012 in their own layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wsml_study.data.dataset import ImageFiles
from wsml_study.data.readers import read_dataset
from wsml_study.data.voc2012 import CLASSES, read_image_set
from wsml_study.errors import DataError

MakeVoc = Callable[..., Path]
TRAIN = {"2008_000008": {"horse": 1, "person": 0}, "2007_000032": {"aeroplane": 1, "person": 1}}
VAL = {"2008_000002": {"tvmonitor": 1}, "2008_000001": {"sheep": 0}, "2007_000033": {"aeroplane": 1}}
FULL_2007 = {"train": 2_501, "val": 2_510, "trainval": 5_011, "test": 4_952}
PHOTOS_2007 = {"train": 482, "val": 460, "trainval": 942, "test": 965}


@pytest.fixture
def voc2012(make_voc: MakeVoc) -> Path:
    return make_voc("VOC2012", {"train": TRAIN, "val": VAL})


def positives(labels_NC: np.ndarray) -> list[list[str]]:
    return [[CLASSES[column] for column in np.flatnonzero(labels_C == 1)] for labels_C in labels_NC]


def count_states(file: Path) -> dict[int, int]:
    """Lines of an official class file by their number, read in another way than the reader does."""
    return dict(zip(*np.unique(np.loadtxt(file, usecols=1, dtype=int), return_counts=True), strict=True))


def test_train_is_the_official_train_and_test_the_official_val_set(voc2012: Path) -> None:
    dataset = read_dataset("voc2012", root=voc2012)
    assert dataset.train.names == ("2007_000032.jpg", "2008_000008.jpg")
    assert dataset.test.names == ("2007_000033.jpg", "2008_000002.jpg")
    assert dataset.train.images == ImageFiles(folder=voc2012 / "JPEGImages", names=dataset.train.names)
    assert (dataset.image_size, dataset.channels, dataset.horizontal_flip) == (448, 3, True)


def test_2007_trains_on_trainval_and_tests_on_test(make_voc: MakeVoc) -> None:
    image_sets = {"trainval": {"000001": {"cat": 1}}, "test": {"000002": {"dog": 1}}}
    dataset = read_dataset("voc2007", root=make_voc("VOC2007", image_sets))
    assert (dataset.train.names, dataset.test.names) == (("000001.jpg",), ("000002.jpg",))


def test_difficult_is_absent_and_nothing_is_unknown(voc2012: Path) -> None:
    labels_NC = read_dataset("voc2012", root=voc2012).train.labels_NC
    assert positives(labels_NC) == [["aeroplane", "person"], ["horse"]]
    assert (labels_NC != 0).all()


def test_an_image_with_nothing_but_difficult_objects_is_left_out(voc2012: Path) -> None:
    assert "2008_000001.jpg" not in read_dataset("voc2012", root=voc2012).test.names


def test_an_image_that_is_left_out_need_not_exist(voc2012: Path) -> None:
    (voc2012 / "JPEGImages" / "2008_000001.jpg").unlink()
    assert len(read_dataset("voc2012", root=voc2012).test) == 2


@pytest.mark.parametrize("steps_up", [0, 1, 2])
def test_the_root_may_be_a_folder_above(make_voc: MakeVoc, steps_up: int) -> None:
    voc = make_voc("VOCdevkit/VOC2012", {"train": TRAIN, "val": VAL})
    root = (voc, voc.parent, voc.parent.parent)[steps_up]
    assert len(read_dataset("voc2012", root=str(root)).train) == 2


def test_windows_line_ends_and_blank_lines_do_not_matter(voc2012: Path, make_voc: MakeVoc) -> None:
    other = make_voc("crlf", {"train": TRAIN, "val": VAL}, line_end="\r\n")
    file = other / "ImageSets" / "Main" / "cow_train.txt"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes() + b"\r\n  \r\n")
    unix, windows = read_dataset("voc2012", root=voc2012), read_dataset("voc2012", root=other)
    assert unix.train.names == windows.train.names
    np.testing.assert_array_equal(unix.train.labels_NC, windows.train.labels_NC)


def test_stray_files_do_not_matter(voc2012: Path) -> None:
    for name in ("train.txt", "class.txt", "unicorn_train.txt", ".DS_Store"):
        (voc2012 / "ImageSets" / "Main" / name).write_text("what is\nthis\n")
    (voc2012 / "JPEGImages" / "Thumbs.db").write_text("")
    assert len(read_dataset("voc2012", root=voc2012).train) == 2


def test_the_order_of_lines_does_not_matter(voc2012: Path) -> None:
    before = read_dataset("voc2012", root=voc2012).train
    file = voc2012 / "ImageSets" / "Main" / "person_train.txt"
    file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    after = read_dataset("voc2012", root=voc2012).train
    assert before.names == after.names
    np.testing.assert_array_equal(before.labels_NC, after.labels_NC)


def test_missing_class_files_are_named_with_the_archive_they_come_from(voc2012: Path) -> None:
    for name in ("cow", "sofa"):
        (voc2012 / "ImageSets" / "Main" / f"{name}_val.txt").unlink()
    with pytest.raises(DataError, match=r"(?s)2 problems.*cow_val.txt.*sofa_val.txt.*VOCtrainval_11-May-2012.tar"):
        read_dataset("voc2012", root=voc2012)


def test_2007_without_its_test_archive_names_that_archive(make_voc: MakeVoc) -> None:
    voc = make_voc("VOC2007", {"trainval": {"000001": {"cat": 1}}})
    with pytest.raises(DataError, match=r"(?s)aeroplane_test.txt.*VOCtest_06-Nov-2007.tar"):
        read_dataset("voc2007", root=voc)


@pytest.mark.parametrize("line", ["2008_000008", "2008_000008 2", "2008_000008 yes", "2008_000008 -1 extra", "\udcff"])
def test_a_malformed_line_is_named_by_file_and_number(voc2012: Path, line: str) -> None:
    file = voc2012 / "ImageSets" / "Main" / "cow_train.txt"
    file.write_bytes(b"2007_000032 -1\r\n" + line.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=r"cow_train.txt:2: expected an image and 1, 0 or -1, got"):
        read_dataset("voc2012", root=voc2012)


def test_all_malformed_lines_of_a_file_are_counted(voc2012: Path) -> None:
    (voc2012 / "ImageSets" / "Main" / "cow_train.txt").write_text("x\n" * 25)
    with pytest.raises(DataError, match=r"(?s)25 problems.*cow_train.txt:10: .*and 15 more"):
        read_dataset("voc2012", root=voc2012)


def test_an_image_listed_twice_is_an_error(voc2012: Path) -> None:
    file = voc2012 / "ImageSets" / "Main" / "cow_train.txt"
    file.write_text(file.read_text() * 2)
    with pytest.raises(DataError, match=r"cow_train.txt:3: image 2008_000008 is listed twice"):
        read_dataset("voc2012", root=voc2012)


def test_an_image_that_one_class_file_lacks_is_an_error_that_names_both(voc2012: Path) -> None:
    (voc2012 / "ImageSets" / "Main" / "cow_train.txt").write_text("2007_000032 -1\n")
    with pytest.raises(DataError, match=r"2008_000008 is not listed in cow_train.txt, but in other files of `train`"):
        read_dataset("voc2012", root=voc2012)


def test_missing_images_are_counted_and_named(voc2012: Path) -> None:
    for name in ("2007_000032.jpg", "2008_000008.jpg"):
        (voc2012 / "JPEGImages" / name).unlink()
    with pytest.raises(DataError, match=r"(?s)JPEGImages: 2 problems.*2007_000032.jpg.*2008_000008.jpg.*unpack"):
        read_dataset("voc2012", root=voc2012)


def test_no_image_folder_is_an_error(voc2012: Path) -> None:
    (voc2012 / "JPEGImages").rename(voc2012 / "JPEGs")
    with pytest.raises(DataError, match=r"JPEGImages: No such file or directory; unpack"):
        read_dataset("voc2012", root=voc2012)


def test_an_image_set_that_shows_nothing_is_an_error(make_voc: MakeVoc) -> None:
    voc = make_voc("VOC2012", {"train": TRAIN, "val": {"2008_000001": {"cat": 0}}})
    with pytest.raises(DataError, match="no image of `val` shows any class"):
        read_dataset("voc2012", root=voc)


def test_the_other_edition_is_not_read_by_mistake(make_voc: MakeVoc) -> None:
    voc = make_voc("VOC2007", {"train": TRAIN, "val": VAL})
    with pytest.raises(DataError, match="say `dataset: voc2007`"):
        read_dataset("voc2012", root=voc)


def photographs(shared_data: Path) -> Path:
    folder = shared_data / "VOCdevkit" / "VOC2007"
    if not folder.is_dir():
        pytest.skip(f"no photos at {folder}")
    return folder


def annotations(shared_data: Path) -> Path:
    folder = shared_data / "annotations" / "voc2007" / "VOC2007"
    if not folder.is_dir():
        pytest.skip(f"no annotations at {folder}")
    return folder


@pytest.mark.parametrize(
    ("folder_of", "num_images"), [(annotations, FULL_2007), (photographs, PHOTOS_2007)], ids=["all", "photos"]
)
@pytest.mark.parametrize("image_set", ["train", "val", "trainval", "test"])
def test_counts_per_class_equal_the_official_files(
    shared_data: Path, folder_of: Callable[[Path], Path], num_images: dict[str, int], image_set: str
) -> None:
    folder = folder_of(shared_data)
    names, labels_NC = read_image_set(folder, image_set)
    assert labels_NC.shape == (num_images[image_set], 20)
    assert names == sorted(names)
    for name, labels_N in zip(CLASSES, labels_NC.T, strict=True):
        official = count_states(folder / "ImageSets" / "Main" / f"{name}_{image_set}.txt")
        assert (labels_N == 1).sum() == official.get(1, 0)
        assert (labels_N == -1).sum() == official.get(-1, 0) + official.get(0, 0)


def test_real_photos_are_found_and_labelled(shared_data: Path) -> None:
    dataset = read_dataset("voc2007", root=photographs(shared_data).parent)
    assert (len(dataset.train), len(dataset.test)) == (942, 965)
    labels_NC = np.concatenate([dataset.train.labels_NC, dataset.test.labels_NC])
    assert round((labels_NC == 1).sum(axis=1).mean(), 2) == 1.39
