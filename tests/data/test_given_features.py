"""Features of the user's own: ARFF, Parquet and .npy, with labels in them or beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data import trees
from wsml_study.data.dataset import Dataset, GivenFeatures, Split
from wsml_study.data.label_files import FeatureFiles
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError

NUMBERS = ["x numeric", "y numeric"]
LABELS = ["cat {0,1}", "dog {0,1}"]
ROWS = ["0.5,1,1,0", "2,3,0,1", "4,5,1,1", "6,7,0,0", "8,9,1,0"]


def read(root: Path, **files: Any) -> Dataset:
    return read_dataset("features", root=root, features=FeatureFiles(**files))


def read_arff(root: Path, text: str, **files: Any) -> Dataset:
    (root / "data.arff").write_text(text)
    return read(root, file="data.arff", **files)


def values(split: Split) -> list[list[float]]:
    assert isinstance(split.images, GivenFeatures)
    return split.images.values_ND.tolist()


def by_name(dataset: Dataset) -> dict[str, tuple[list[float], list[int]]]:
    return {
        name: (features, labels_C.tolist())
        for split in (dataset.train, dataset.test)
        for name, features, labels_C in zip(split.names, values(split), split.labels_NC, strict=True)
    }


def test_mulans_xml_names_the_labels_wherever_they_are(tmp_path: Path) -> None:
    root, files = trees.mulan(tmp_path / "mulan")
    dataset = read_dataset("features", root=root, features=files)
    assert dataset.classes == ("beach", "fall foliage")
    assert values(dataset.train) == [[0.5, -2], [np.float32(1e-3), 7], [3, 2.5], [4, 0]]
    assert dataset.train.labels_NC.tolist() == [[-1, 1], [1, -1], [0, 1], [1, -1]]
    assert dataset.test.names == ("test.arff#0", "test.arff#1")


@pytest.mark.parametrize(
    ("relation", "attributes", "columns"),
    [
        ("'animals: -C -2'", [*NUMBERS, *LABELS], [0, 1, 2, 3]),
        ("'animals: -C 2 -split-percentage 67'", [*LABELS, *NUMBERS], [2, 3, 0, 1]),
    ],
)
def test_a_relation_tells_its_labels_as_meka_has_it(
    relation: str, attributes: list[str], columns: list[int], tmp_path: Path
) -> None:
    rows = [",".join(row.split(",")[column] for column in columns) for row in ROWS]
    dataset = read_arff(tmp_path, trees.arff(relation, attributes, rows))
    assert dataset.classes == ("cat", "dog")
    assert by_name(dataset)["data.arff#1"] == ([2, 3], [-1, 1])


def test_sparse_arff_has_zeros_where_it_says_nothing(tmp_path: Path) -> None:
    text = trees.arff("animals", [*NUMBERS, *LABELS], ["{0 0.5, 3 1}", "{}", "{1 2, 2 1}", "{1 3}"])
    rows = by_name(read_arff(tmp_path, text, num_labels=2, test_fraction=0.5))
    assert rows["data.arff#0"] == ([0.5, 0], [-1, 1])
    assert rows["data.arff#1"] == ([0, 0], [-1, -1])
    assert rows["data.arff#2"] == ([0, 2], [1, -1])


def test_rows_without_a_header_are_read_and_told(tmp_path: Path) -> None:
    dataset = read_arff(tmp_path, "\n% rows alone\n" + "\n".join([*ROWS, "1,2,?,1"]) + "\n", num_labels=2)
    assert dataset.classes == ("0", "1")
    assert by_name(dataset)["data.arff#5"] == ([1, 2], [0, 1])
    assert "data.arff has no header: its columns are called by their numbers" in dataset.notices


def test_rows_without_a_header_take_names_of_classes(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    dataset = read_arff(tmp_path, "\n".join(ROWS), classes="classes.txt")
    assert dataset.classes == ("cat", "dog")
    assert by_name(dataset)["data.arff#0"] == ([0.5, 1], [1, -1])


def test_a_column_may_say_the_split_and_the_name(tmp_path: Path) -> None:
    content = {
        "who": ["a", "b", "c", "d"],
        "part": ["train", "val", "train", "test"],
        "embedding": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]],
        "size": [1, 2, 3, 4],
        "cat": [True, False, None, True],
        "dog": [0, 1, 1, None],
    }
    pq.write_table(pa.table(content), tmp_path / "data.parquet")
    dataset = read(tmp_path, file="data.parquet", num_labels=2, name_column="who", split_column="part")
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.names == ("a", "b", "c")
    assert dataset.validation_rows == (1,)
    assert values(dataset.train) == [[1, 2, 1], [3, 4, 2], [5, 6, 3]]
    assert dataset.train.labels_NC.tolist() == [[1, -1], [-1, 1], [0, 1]]
    assert dataset.test.labels_NC.tolist() == [[1, 0]]


def test_labels_may_be_beside_a_matrix(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(8, dtype=np.float64).reshape(4, 2))
    np.save(tmp_path / "y.npy", np.array([[1, 0], [0, 1], [np.nan, 1], [1, 1]]))
    dataset = read(tmp_path, file="x.npy", labels_file="y.npy", test_fraction=0.25)
    assert by_name(dataset)["x.npy#2"] == ([4, 5], [0, 1])


def test_labels_may_be_a_table_that_names_the_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(8, dtype=np.float16).reshape(4, 2))
    (tmp_path / "y.csv").write_text(
        "photo,part,cat,dog\na.jpg,train,1,0\nb.jpg,test,,1\nc.jpg,val,0,0\nd.jpg,train,1,1\n"
    )
    dataset = read(tmp_path, file="x.npy", labels_file="y.csv", split_column="part")
    assert dataset.train.names == ("a.jpg", "c.jpg", "d.jpg")
    assert dataset.validation_rows == (1,)
    assert by_name(dataset)["b.jpg"] == ([2, 3], [0, 1])


def test_features_are_read_only(tmp_path: Path) -> None:
    dataset = read_arff(tmp_path, "\n".join(ROWS), num_labels=2)
    assert isinstance(dataset.train.images, GivenFeatures)
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.images.values_ND[0] = 1


WHOLE = trees.arff("animals", [*NUMBERS, *LABELS], ROWS)


@pytest.mark.parametrize(
    ("text", "files", "message"),
    [
        (WHOLE, {}, r"does not say which columns are labels; give `num_labels`"),
        (WHOLE, {"num_labels": 4}, r"all 4 columns are labels"),
        (WHOLE, {"num_labels": 9}, r"expected 9 columns of labels, got 4 columns"),
        (WHOLE, {"num_labels": 3}, r"row 0: y.*|row 1: y: expected 1, 0 or nothing, got 3"),
        (WHOLE, {"num_labels": 2, "split_column": "part"}, r"no column part; it has x, y, cat, dog"),
        (WHOLE, {"num_labels": 2, "test_fraction": 0.01}, r"to train on and to test on, got 5 and 0.*data.features"),
        (WHOLE.replace("4,5,1,1", "4,5,1"), {"num_labels": 2}, r"row 2 of @data: "),
        (WHOLE.replace("4,5,1,1", "4,red,1,1"), {"num_labels": 2}, r"row 2 of @data: Invalid numerical value"),
        (WHOLE.replace("4,5,1,1", "4,?,1,1"), {"num_labels": 2}, r"row 2: y: expected a finite number, got nan"),
        (WHOLE.replace("4,5,1,1", "4,5,1,2"), {"num_labels": 2}, r"row 2 of @data: Data value 2 not found"),
        (WHOLE.replace("y numeric", "y {1,3,5,7,red}").replace("8,9", "8,red"), {"num_labels": 2},
         r"row 4: y: expected a number, got 'red'"),
        (WHOLE.replace("@data", "@date"), {"num_labels": 2}, r"cannot be read as ARFF: "),
        ("", {"num_labels": 2}, r"cannot be read as ARFF: "),
        ("1,2,x\n", {"num_labels": 1}, r"no header.*not all numbers: .*x"),
        ("1,2\n1,2,3\n", {"num_labels": 1}, r"no header.*not all numbers: "),
        (WHOLE, {"num_labels": 2, "classes": "classes.txt"}, r"names 1 classes, and `num_labels` is 2"),
        (WHOLE, {"classes": "classes.txt"}, r"no column bird"),
        (WHOLE, {"classes": "classes.xml"}, r"classes.xml: No such file.*`classes` under data.features"),
        (WHOLE, {"labels_file": "y.npy"}, r"y.npy: .*`labels_file` under data.features"),
        (WHOLE, {"num_labels": 2, "test_file": "other.arff"}, r"other.arff: No such file.*`file` under data.features"),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_with_its_row(text: str, files: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("bird\n")
    with pytest.raises(DataError, match=message):
        read_arff(tmp_path, text, **files)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (trees.arff("other", ["x numeric", *LABELS], ["1,0,1"]), r"expected the 2 features of .*data.arff, got 1"),
        (trees.arff("other", ["x numeric", "z numeric", *LABELS], ["1,2,0,1"]), r"got 2 of other names"),
        (trees.arff("other", [*NUMBERS, "dog {0,1}", "bird {0,1}"], ["1,2,0,1"]), r"other.arff: .*\n  no column cat"),
    ],
)  # fmt: skip
def test_a_test_file_must_have_the_same_columns(other: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "other.arff").write_text(other)
    with pytest.raises(DataError, match=message):
        read_arff(tmp_path, WHOLE, num_labels=2, test_file="other.arff")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": ["a", "b"], "cat": [0, 1]}, r"x: expected numbers.*it holds string"),
        ({"x": [[1, 2], [1]], "cat": [0, 1]}, r"x: expected numbers.*lists of 2, 1 numbers"),
        ({"x": [1.0, None], "cat": [0, 1]}, r"row 1: x: expected a finite number, got nan"),
    ],
)
def test_a_bad_parquet_is_told_with_its_column(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(content), tmp_path / "data.parquet")
    with pytest.raises(DataError, match=message):
        read(tmp_path, file="data.parquet", num_labels=1)


def test_what_is_no_matrix_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"expected a matrix of numbers, got float64 \(3,\)"):
        read(tmp_path, file="x.npy", num_labels=1)
    (tmp_path / "x.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"cannot be read as an .npy file"):
        read(tmp_path, file="x.npy", num_labels=1)
    with pytest.raises(DataError, match=r"expected an .npy, .parquet or .arff file as `file`"):
        read(tmp_path, file="x.csv", num_labels=1)


def test_labels_must_be_as_many_as_features(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    np.save(tmp_path / "y.npy", np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"expected labels of the 3 rows of .*x.npy, got 2 rows"):
        read(tmp_path, file="x.npy", labels_file="y.npy")


def test_scene_is_what_its_publication_says(shared_data: Path) -> None:
    files = {"file": "scene-train.arff", "test_file": "scene-test.arff"}
    dataset = read(shared_data / "mulan", **files, num_labels=6)
    assert (len(dataset.train), len(dataset.test), len(dataset.classes)) == (1211, 1196, 6)
    labels_NC = np.concatenate([dataset.train.labels_NC, dataset.test.labels_NC])
    assert round((labels_NC == 1).sum(axis=1).mean(), 3) == 1.074
    assert isinstance(dataset.train.images, GivenFeatures)
    assert dataset.train.images.values_ND.shape == (1211, 294)
    assert 0 <= dataset.train.images.values_ND.min() < dataset.train.images.values_ND.max() <= 1
