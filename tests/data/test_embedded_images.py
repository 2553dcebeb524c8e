"""Tables in Parquet that hold the images, as Hugging Face's `datasets` writes them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.encoded_images import COLORS, NAMES, encoded, images
from wsml_study.data.dataset import Dataset, ImageFiles
from wsml_study.data.image_store import open_images
from wsml_study.data.inspection import count_formats, look_at_images
from wsml_study.data.label_files import LabelFiles
from wsml_study.data.readers import read_dataset
from wsml_study.data.stored_file import default_cache_dir
from wsml_study.data.table import listed_images
from wsml_study.errors import DataError

NUMBERED = json.dumps(
    {"info": {"features": {"labels": {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "_type": "List"}}}}
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "cache"))


def write(path: Path, columns: dict[str, Any], *, metadata: str | None = None) -> Path:
    table = pa.table(columns)
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, path)
    return path


def read(file: Path, **keys: Any) -> Dataset:
    return read_dataset("table", labels=LabelFiles(file=str(file), **keys))


def pixels(dataset: Dataset) -> dict[str, list[int]]:
    """Color of each image, by name, as the image store has it."""
    found = {}
    for split in (dataset.train, dataset.test):
        assert isinstance(split.images, ImageFiles)
        rows = open_images(split.images, size=16, channels=3)[np.arange(len(split))]
        found |= {name: row[:, 8, 8].tolist() for name, row in zip(split.names, rows, strict=True)}
    return found


def labels(dataset: Dataset) -> dict[str, list[int]]:
    return {
        name: row.tolist()
        for split in (dataset.train, dataset.test)
        for name, row in zip(split.names, split.labels_NC, strict=True)
    }


def test_images_and_numbered_classes_are_read(tmp_path: Path) -> None:
    file = write(
        tmp_path / "photos.parquet",
        {"image": images(), "labels": [[0], [1], [0, 1], [], [1]]},
        metadata=NUMBERED,
    )
    dataset = read(file, positives_column="labels", unlisted="negative", test_fraction=0.4)
    assert dataset.classes == ("cat", "dog")
    assert labels(dataset) == {
        "photos/red.png": [1, -1],
        "photos/green.png": [-1, 1],
        "photos/blue.png": [1, 1],
        "photos/yellow.png": [-1, -1],
        "photos/cyan.png": [-1, 1],
    }
    assert pixels(dataset) == {f"photos/{name}.png": list(c) for name, c in zip(NAMES, COLORS, strict=True)}
    assert dict(count_formats(dataset)) == {"PNG": 5}


def test_names_of_classes_and_states_by_column_are_read_too(tmp_path: Path) -> None:
    listed = write(
        tmp_path / "a.parquet", {"image": images(), "tags": [["cat"], ["dog"], ["cat", "dog"], None, ["dog"]]}
    )
    by_column = write(tmp_path / "b.parquet", {"image": images(), "cat": [1, 0, 1, None, 0], "dog": [0, 1, 1, 0, 1]})
    assert labels(read(listed, positives_column="tags", unlisted="unobserved"))["a/yellow.png"] == [0, 0]
    assert labels(read(by_column))["b/yellow.png"] == [0, -1]


def test_images_without_names_are_called_by_their_rows(tmp_path: Path) -> None:
    file = write(tmp_path / "p.parquet", {"image": images(named=False, form="JPEG"), "cat": [1, 0, 1, 0, 0]})
    assert sorted(labels(read(file))) == [f"p/{row:06}.jpg" for row in range(5)]


@pytest.mark.parametrize("path", ["same.png", "..", "a\nb.png", "", "x" * 300])
def test_names_that_cannot_be_files_are_not_used(tmp_path: Path, path: str) -> None:
    cells = [cell | {"path": path if row < 2 else cell["path"]} for row, cell in enumerate(images())]
    file = write(tmp_path / "p.parquet", {"image": cells, "cat": [1, 0, 1, 0, 0]})
    assert sorted(labels(read(file))) == [f"p/{row:06}.png" for row in range(5)]
    assert not (default_cache_dir().parent / "same.png").exists()


def test_plain_bytes_are_images_too(tmp_path: Path) -> None:
    file = write(tmp_path / "p.parquet", {"image": [one["bytes"] for one in images()], "cat": [1, 0, 1, 0, 0]})
    assert len(pixels(read(file))) == 5


def test_the_only_column_of_images_need_not_be_the_first(tmp_path: Path) -> None:
    columns = {"image_id": ["a", "b", "c", "d", "e"], "image": images(), "tags": [["cat"]] * 4 + [["dog"]]}
    file = write(tmp_path / "p.parquet", columns)
    assert len(pixels(read(file, positives_column="tags", unlisted="negative"))) == 5


def test_a_table_in_several_files_is_one(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / f"train-{number:05}-of-00002.parquet", {"image": images(), "cat": [1, 0, 1, 0, 0]})
    write(tmp_path / "test-00000-of-00001.parquet", {"image": images(), "cat": [0, 1, 0, 1, 1]})
    dataset = read(tmp_path / "train-*.parquet", test_file=str(tmp_path / "test-*.parquet"))
    assert (len(dataset.train), len(dataset.test)) == (10, 5)
    assert dataset.train.names[9] == "train-00001-of-00002/cyan.png"
    assert len(pixels(dataset)) == 15
    (tmp_path / "train-00001-of-00002.parquet").unlink()
    write(tmp_path / "train-00002-of-00003.parquet", {"image": images(), "cat": [1, 0, 1, 0, 0]})
    with pytest.raises(DataError, match=r"expected 5 files, as their names say, found 2"):
        read(tmp_path / "train-*.parquet")


def test_files_that_are_only_numbered_are_told_apart_by_their_folder(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        write(tmp_path / part / "0000.parquet", {"image": images(), "cat": [1, 0, 1, 0, 0]})
    dataset = read(tmp_path / "train", test_file=str(tmp_path / "test"))
    assert (dataset.train.names[0], dataset.test.names[0]) == ("train/0000/red.png", "test/0000/red.png")


def test_files_of_one_table_have_the_same_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": images(), "cat": [1, 0, 1, 0, 0]})
    write(tmp_path / "b.parquet", {"image": images(), "dog": [1, 0, 1, 0, 0]})
    with pytest.raises(DataError, match=r"b.parquet: expected the columns of a.parquet, image, cat; it has image, dog"):
        read(tmp_path)


def test_rows_without_an_image_are_counted(tmp_path: Path) -> None:
    cells = [cell | {"bytes": None if row in (1, 3) else cell["bytes"]} for row, cell in enumerate(images())]
    file = write(tmp_path / "p.parquet", {"image": cells, "cat": [1, 0, 1, 0, 0]})
    with pytest.raises(DataError, match=r"(?s)2 problems.*p.parquet: row 1: image: expected the bytes.*row 3"):
        read(file)


def test_the_store_knows_images_that_are_unpacked_again(tmp_path: Path) -> None:
    file = write(tmp_path / "p.parquet", {"image": images(), "cat": [1, 0, 1, 0, 0]})
    first = read(file)
    pixels(first)
    stored = sorted(default_cache_dir().glob("images-*"))
    (listed,) = default_cache_dir().glob("unpacked-*/names.json")
    listed.unlink()
    assert pixels(read(file)) == pixels(first)
    assert sorted(default_cache_dir().glob("images-*")) == stored


def test_a_changed_table_is_unpacked_anew(tmp_path: Path) -> None:
    file = write(tmp_path / "p.parquet", {"image": images(), "cat": [1, 0, 1, 0, 0]})
    assert pixels(read(file))["p/red.png"] == [250, 0, 0]
    write(file, {"image": [cell | {"bytes": encoded((7, 7, 7))} for cell in images()], "cat": [1, 0, 1, 0, 0]})
    os.utime(file, (time.time() + 5,) * 2)
    assert pixels(read(file))["p/red.png"] == [7, 7, 7]


def test_pictures_to_predict_may_be_in_a_table(tmp_path: Path) -> None:
    file = write(tmp_path / "p.parquet", {"image": images()})
    folder, names = listed_images(file)
    assert folder is not None
    assert [(folder / name).is_file() for name in names] == [True] * 5


def test_a_table_that_names_images_needs_their_folder(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,cat\na.png,1\nb.png,0\n")
    with pytest.raises(DataError, match=r"labels.csv: expected the folder of the images .* data.root"):
        read(tmp_path / "labels.csv")


def test_what_datasets_writes_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "objects": datasets.Sequence(datasets.ClassLabel(names=["cat", "dog"]))}
    )
    content = {"image": images(), "objects": [[0], [1], [0, 1], [], [1]]}
    datasets.Dataset.from_dict(content, features=features).to_parquet(str(tmp_path / "made.parquet"))
    dataset = read(tmp_path / "made.parquet", positives_column="objects", unlisted="negative")
    assert dataset.classes == ("cat", "dog")
    assert labels(dataset)["made/blue.png"] == [1, 1]
    assert pixels(dataset)["made/blue.png"] == [0, 0, 250]


def test_unpacked_images_are_verified_as_others_are(tmp_path: Path) -> None:
    cells = images()
    cells[1] |= {"bytes": b"no image"}
    dataset = read(write(tmp_path / "p.parquet", {"image": cells, "cat": [1, 0, 1, 0, 0]}))
    unreadable, *_ = look_at_images(dataset, lambda done, total: None).problems
    assert unreadable == "train image p/green.png cannot be read: not an image of a known format"
