"""Answers are written into a new table in the form of the user's own."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

from wsml_study.data.label_files import LabelFiles
from wsml_study.report.corrected_labels import Replies, corrected_labels
from wsml_study.study.data_section import Data

REPLIES: Replies = {
    ("a.png", "cat"): "no",
    ("a.png", "dog"): "yes",
    ("b.png", "cat"): "yes",
    ("c.png", "dog"): "unsure",
    ("gone.png", "dog"): "yes",
}


def own_data(folder: Path, table: str, **labels: object) -> Data:
    """Four images and a table of their labels."""
    for name in "abcd":
        Image.new("RGB", (4, 4)).save(folder / f"{name}.png")
    (folder / "labels.csv").write_text(table)
    files = LabelFiles.model_validate({"file": str(folder / "labels.csv"), "split_column": "split", **labels})
    return Data(dataset="table", root=str(folder), labels=files)


def rows(text: str) -> dict[str, dict[str, str]]:
    """Rows by image."""
    return {Path(row["image"]).name: row for row in csv.DictReader(text.splitlines())}


def test_a_column_per_class_keeps_all_other_columns_and_cells(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    names = f'image,split,cat,dog,note\na.png,train,1,,"x, y"\n{tmp_path}/b.png,train,1,no,\nc.png,train,,0,\n'
    data = own_data(tmp_path, f"{names}d.png,test,0,1,\n", classes=str(tmp_path / "classes.txt"))
    found = corrected_labels(data, REPLIES)
    assert (found.filled, found.turned, found.confirmed, found.left, found.unwritten) == (1, 1, 1, 1, 1)
    written = rows(found.text)
    assert (written["a.png"]["cat"], written["a.png"]["dog"], written["a.png"]["note"]) == ("0", "1", "x, y")
    assert (written["b.png"]["cat"], written["b.png"]["dog"]) == ("1", "no")
    assert (written["c.png"]["cat"], written["c.png"]["dog"]) == ("", "0")
    assert written["d.png"] == {"image": "d.png", "split": "test", "cat": "0", "dog": "1", "note": ""}
    assert found.is_own


@pytest.mark.parametrize(("negatives", "unwritten"), [(True, 1), (False, 2)])
def test_columns_that_list_classes(tmp_path: Path, *, negatives: bool, unwritten: int) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    table = "image,split,yes,no\na.png,train,cat,\nb.png,train,,\nc.png,train,cat,dog\nd.png,test,cat;dog,\n"
    columns = {"negatives_column": "no"} if negatives else {"unlisted": "unobserved"}
    data = own_data(tmp_path, table, positives_column="yes", classes=str(tmp_path / "classes.txt"), **columns)
    found = corrected_labels(data, REPLIES)
    written = rows(found.text)
    assert (written["a.png"]["yes"], written["a.png"]["no"]) == ("dog", "cat" if negatives else "")
    assert written["b.png"]["yes"] == "cat"
    assert (written["c.png"]["yes"], written["c.png"]["no"]) == ("cat", "dog")
    assert found.unwritten == unwritten


def test_the_new_table_of_another_dataset_is_read_as_a_table(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    for name in "abcd":
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    (tmp_path / "train.txt").write_text("a.png,0\nb.png,\nc.png,1\n")
    (tmp_path / "test.txt").write_text("d.png,0 1\n")
    files = {"file": str(tmp_path / "train.txt"), "test_file": str(tmp_path / "test.txt")}
    listed = LabelFiles.model_validate({**files, "classes": str(tmp_path / "classes.txt")})
    found = corrected_labels(Data(dataset="list", root=str(tmp_path), labels=listed), REPLIES)
    assert not found.is_own
    written = rows(found.text)
    assert (written["a.png"]["cat"], written["a.png"]["dog"], written["a.png"]["split"]) == ("0", "1", "train")
    assert written["d.png"]["split"] == "test"
    (tmp_path / "new.csv").write_text(found.text)
    table = LabelFiles(file=str(tmp_path / "new.csv"), split_column="split")
    again = corrected_labels(Data(dataset="table", root=str(tmp_path), labels=table), REPLIES)
    assert again.text == found.text
    assert (again.filled, again.turned) == (0, 0)
