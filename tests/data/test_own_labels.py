"""Tables, lists and COCO-style files of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data import trees
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError


def read_csv(folder: Path, text: str, **keys: object):
    (folder / "labels.csv").write_text(text)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (folder / name).touch()
    return read_dataset("table", root=folder, labels=LabelFiles(file=str(folder / "labels.csv"), **keys))  # type: ignore[arg-type]


def test_a_blank_cell_is_an_unknown_label(tmp_path: Path) -> None:
    root, files = trees.table(tmp_path)
    dataset = read_dataset("table", root=root, labels=files)
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.names == ("a, b.jpg", "c.jpg", "d.jpg")
    assert dataset.train.labels_NC.tolist() == [[1, 0], [-1, 1], [0, 1]]
    assert dataset.validation_rows == (2,)
    assert dataset.test.labels_NC.tolist() == [[1, -1]]


def test_columns_may_list_classes(tmp_path: Path) -> None:
    root, files = trees.listed_table(tmp_path)
    dataset = read_dataset("table", root=root, labels=files)
    labels = {
        name: labels_C.tolist()
        for split in (dataset.train, dataset.test)
        for name, labels_C in zip(split.names, split.labels_NC, strict=True)
    }
    assert dataset.classes == ("cat", "dog")
    assert labels == {"a.jpg": [1, 1], "b.jpg": [-1, 0], "c.jpg": [0, 1]}


@pytest.mark.parametrize(("unlisted", "state"), [("negative", -1), ("unobserved", 0)])
def test_what_no_column_lists_is_what_the_study_says(unlisted: str, state: int, tmp_path: Path) -> None:
    text = "image,split,tags\na.jpg,train,cat\nb.jpg,train,dog\nc.jpg,test,cat;dog\n"
    dataset = read_csv(tmp_path, text, split_column="split", positives_column="tags", unlisted=unlisted)
    assert dataset.train.labels_NC.tolist() == [[1, state], [state, 1]]


def test_a_cell_may_hold_any_character_but_a_line_end(tmp_path: Path) -> None:
    text = 'image,split,tags\r\na.jpg,train,cat\u2028tabby\r\nb.jpg,train,"dog\r\n"\r\nc.jpg,test,dog\x0c\r\n'
    dataset = read_csv(tmp_path, text, split_column="split", positives_column="tags", unlisted="negative")
    assert dataset.classes == ("cat\u2028tabby", "dog")


def test_lists_read_spaces_commas_and_images_without_a_class(tmp_path: Path) -> None:
    root, files = trees.lists(tmp_path)
    dataset = read_dataset("list", root=root, labels=files)
    assert dataset.classes == ("cat", "dog", "white horse")
    assert dataset.train.names == ("a.jpg", "b,c.jpg", "d.jpg")
    assert dataset.train.labels_NC.tolist() == [[1, -1, 1], [-1, 1, -1], [-1, -1, -1]]


def test_an_image_without_objects_shows_none(tmp_path: Path) -> None:
    root, files = trees.own_coco(tmp_path)
    dataset = read_dataset("coco_json", root=root, labels=files)
    names = dataset.train.names + dataset.test.names
    assert sorted(names) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    assert len(dataset.test) == 2


def test_the_test_images_depend_on_the_seed_alone(tmp_path: Path) -> None:
    root, files = trees.own_coco(tmp_path)
    draws = {
        read_dataset("coco_json", root=root, labels=files.model_copy(update={"seed": seed})).test.names
        for seed in range(8)
    }
    assert len(draws) > 1


@pytest.mark.parametrize(
    ("text", "keys", "message"),
    [
        ("image,cat\na.jpg,perhaps\nb.jpg,1\nc.jpg,2\n", {}, r"(?s)2 problems.*csv:2: .*'perhaps'.*csv:4: cat: .*'2'"),
        ("image,cat,cat\na.jpg,1,0\n", {}, r"csv:1: expected each column once, got 'cat'"),
        ("image,cat\na.jpg,1,0\n", {}, r"csv:2: expected 2 cells, got 3"),
        ("image,cat\n", {}, r"expected a row per image"),
        ("", {}, r"expected a row per image|no column"),
        ("image,cat\n,1\nb.jpg,0\n", {}, r"csv:2: image: expected an image file"),
        ("image,cat\na.jpg,1\na.jpg,0\nb.jpg,1\n", {}, r"a.jpg is listed more than once"),
        ("image,cat\na.jpg,1\nnone.jpg,0\n", {}, r"no image none.jpg, which labels.csv lists"),
        ("image,cat\na.jpg,1\n", {"image_column": "photo"}, r"no column photo; it has image, cat"),
        ("image,part,cat\na.jpg,learn,1\n", {"split_column": "part"}, r"csv:2: part: expected train, .* got 'learn'"),
        ("image,part,cat\na.jpg,test,1\n", {"split_column": "part"}, r"images to train on and to test on, got 0 and 1"),
        ("image\na.jpg\n", {}, r"expected a column per class beside image"),
    ],
)  # fmt: skip
def test_a_bad_table_is_told_with_its_line(text: str, keys: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_csv(tmp_path, text, **keys)


def test_a_class_listed_as_present_and_absent_is_an_error(tmp_path: Path) -> None:
    text = "image,yes,no\na.jpg,cat,cat\nb.jpg,dog,\n"
    with pytest.raises(DataError, match=r"csv:2: cat is listed as present and as absent"):
        read_csv(tmp_path, text, positives_column="yes", negatives_column="no")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg 1 2\n", r"train.txt:1: expected an image, a comma and numbers"),
        ("a.jpg,1\nb.jpg,7\n", r"train.txt:2:7: expected classes from 0 to 2, got 7"),
        ("a.jpg,one\n", r"train.txt:1: expected an image"),
        ("\n", r"no image is listed"),
    ],
)
def test_a_bad_list_is_told_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    root, files = trees.lists(tmp_path)
    Path(files.file).write_text(text)
    with pytest.raises(DataError, match=message):
        read_dataset("list", root=root, labels=files)


def test_an_image_in_both_files_is_an_error(tmp_path: Path) -> None:
    root, files = trees.lists(tmp_path)
    assert files.test_file is not None
    Path(files.test_file).write_text("a.jpg,1\n")
    with pytest.raises(DataError, match=r"a.jpg is in train.txt as well"):
        read_dataset("list", root=root, labels=files)
