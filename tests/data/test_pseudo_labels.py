"""`data.pseudo_labels`: which scores are read for which image and class, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wsml_study.data.pseudo_labels import read_pseudo_scores
from wsml_study.errors import DataError

CLASSES, NAMES = ("cat", "dog"), ("b.jpg", "a.jpg")


def read(file: Path, text: str) -> list[list[float]]:
    file.write_text(text)
    return read_pseudo_scores(str(file), CLASSES, NAMES).tolist()


def test_columns_and_rows_are_found_by_name(tmp_path: Path) -> None:
    text = "image,dog,note,cat\na.jpg,0.25,x,0.5\nelse.jpg,0,y,0\nb.jpg,1,z,0.75\n"
    assert read(tmp_path / "s.csv", text) == [[0.75, 1.0], [0.5, 0.25]]


def test_images_may_be_named_by_paths(tmp_path: Path) -> None:
    assert read(tmp_path / "s.csv", "image,cat,dog\nphotos/a.jpg,0,1\nphotos/b.jpg,1,0\n") == [[1, 0], [0, 1]]


def test_parquet_is_read_alike(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"image": ["a.jpg", "b.jpg"], "cat": [0.5, 1.0], "dog": [0.25, 0.0]}), tmp_path / "s.parquet"
    )
    found = read_pseudo_scores(str(tmp_path / "s.parquet"), CLASSES, NAMES)
    assert found.dtype == np.float32
    assert found.tolist() == [[1.0, 0.0], [0.5, 0.25]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,cat\na.jpg,1\nb.jpg,1\n", "has no column dog; expected the image in the first column"),
        ("image,cat,dog\na.jpg,1,1\n", r"lacks 1 of 2 training images: b\.jpg; its rows are of a\.jpg"),
        ("image,cat,dog\na.jpg,1,1\nb.jpg,1.5,1\n", r"expected scores from 0 to 1, got 1\.5 for cat in b\.jpg"),
        ("image,cat,dog\na.jpg,1,\nb.jpg,1,1\n", r"expected scores from 0 to 1, got nan for dog in a\.jpg"),
        ("image,cat,dog\na.jpg,1,x\nb.jpg,1,1\n", "column dog: expected numbers from 0 to 1"),
        ("image,cat,dog\na.jpg,1,1\na.jpg,0,1\nb.jpg,1,1\n", r"several rows for the image a\.jpg"),
        ("image,cat,cat,dog\na.jpg,1,1,1\nb.jpg,1,1,1\n", "several columns cat"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "s.csv", text)


def test_a_file_of_another_kind_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a \.csv or \.parquet file"):
        read_pseudo_scores(str(tmp_path / "s.txt"), CLASSES, NAMES)
    with pytest.raises(DataError, match="cannot be read"):
        read_pseudo_scores(str(tmp_path / "s.csv"), CLASSES, NAMES)
