"""Visual Genome: SSGRL's lists, and the release's objects with a list of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.release_trees import visual_genome, visual_genome_objects
from wsml_study.data.visual_genome import read_visual_genome
from wsml_study.errors import DataError


def test_lists_say_which_classes_and_images(tmp_path: Path) -> None:
    root = visual_genome(tmp_path / "vg")
    dataset = read_visual_genome(root)
    assert dataset.classes == ("class 0", "class 1", "class 2")
    assert (dataset.train.names, dataset.test.names) == (("2360596.jpg", "2385068.jpg"), ("2410017.jpg", "1.jpg"))
    assert dataset.train.labels_NC.tolist() == [[1, -1, 1], [-1, -1, -1]]
    (tmp_path / "names.txt").write_text("man,men\ntree\nsky\n")
    assert read_visual_genome(root, class_list=str(tmp_path / "names.txt")).classes == ("man", "tree", "sky")


def test_objects_show_the_classes_of_their_names_aliases_and_synsets(tmp_path: Path) -> None:
    root, files = visual_genome_objects(tmp_path / "vg")
    dataset = read_visual_genome(root, **files)
    assert dataset.classes == ("tree", "sidewalk", "light")
    assert dataset.train.labels_NC.tolist() == [[1, 1, -1], [-1, -1, 1]]
    assert (dataset.test.names, dataset.test.labels_NC.tolist()) == (("4.jpg", "3.jpg"), [[1, -1, -1], [-1, -1, -1]])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train_list_3.txt", "1.jpg\n9.jpg\n", r"train_list_3.txt:2: vg_category_3_labels_index.json has no '9.jpg'"),
        ("train_list_3.txt", "1.jpg\n1.jpg\n", r"train_list_3.txt:2: 1.jpg is listed in line 1 already"),
        ("train_list_3.txt", "1.jpg\n", r"1.jpg is in both lists"),
        ("train_list_3.txt", "7.jpg\n", r"no image 7.jpg in VG_100K, VG_100K_2, images"),
        (
            "vg_category_3_labels_index.json",
            '{"1.jpg": [3]}',
            r"1.jpg: expected numbers of classes from 0 to 2, got '\[3\]'",
        ),
        ("vg_category_3_labels_index.json", "[1]", r"expected numbers of classes by image, got a list"),
        ("vg_category_200_labels_index.json", "{}", r"expected one of vg_category_200.*got all"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path: Path, file: str, text: str, message: str) -> None:
    root = visual_genome(tmp_path / "vg")
    (root / file).write_text(text)
    with pytest.raises(DataError, match=message):
        read_visual_genome(root)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("classes.txt", "tree\noak,tree\n", r"classes.txt:2: tree is 'tree' already"),
        ("classes.txt", "tree\n,\n", r"classes.txt:2: expected the name of a class"),
        ("test.txt", "5.jpg\n", r"test.txt:1: objects.json has no '5.jpg'"),
        ("objects.json", '[{"image_id": 1}]', r"entry 0: expected `objects`, a list, got no such key"),
        ("objects.json", '[{"image_id": 1, "objects": [3]}]', r"image 1: expected objects with `names`"),
        ("objects.json", "{", r"expected JSON, got"),
    ],
)
def test_objects_that_do_not_fit_are_refused(tmp_path: Path, file: str, text: str, message: str) -> None:
    root, files = visual_genome_objects(tmp_path / "vg")
    (root / file).write_text(text)
    with pytest.raises(DataError, match=message):
        read_visual_genome(root, **files)


def test_objects_need_a_list_of_classes_and_of_test_images(tmp_path: Path) -> None:
    root, files = visual_genome_objects(tmp_path / "vg")
    with pytest.raises(DataError, match=r"data.class_list: expected a file"):
        read_visual_genome(root)
    with pytest.raises(DataError, match=r"data.test_list: expected a file"):
        read_visual_genome(root, class_list=files["class_list"])
    with pytest.raises(DataError, match=r"data.test_list: vg_category_3.* leave the key out"):
        read_visual_genome(visual_genome(tmp_path / "lists"), test_list=files["test_list"])
