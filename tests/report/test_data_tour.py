"""`wsml-study data`: what it lists, shows, prepares and finds wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.data import trees
from tests.data.noise_photos import write_photo
from wsml_study.cli.entry import app
from wsml_study.data import pixels
from wsml_study.data.reader_record import READERS
from wsml_study.errors import DataError

STUDY = """\
name: toured
data:
  dataset: table
  root: {root}
  image_size: 16
  labels: {{file: {root}/labels.csv, split_column: split}}
method: {{name: AN}}
"""
Run = Callable[..., str]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    root, _ = trees.table(tmp_path / "photos")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(root=root))
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("WSML_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object, status: int = 0, error: bool = False) -> str:
        done = CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=not error)
        assert done.exit_code == status, done.output
        return done.output

    return run


def test_every_reader_is_listed(run: Run) -> None:
    assert all(name in run("list") for name in READERS)


def test_info_counts_classes_and_what_is_hidden(run: Run, study: Path) -> None:
    shown = run("info", study)
    assert "table: 3 images to train and validate on, 1 to test on, 2 classes" in shown
    assert "training labels: 66.7% are known, 66.67% are observed" in shown
    assert [line.split()[:4] for line in shown.splitlines() if line.startswith(("cat", "dog"))] == [
        ["dog", "2", "2", "0"],
        ["cat", "1", "1", "1"],
    ]


def test_the_picture_shows_a_sample(run: Run, study: Path, tmp_path: Path) -> None:
    run("info", study, "--picture", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 3 * 168 + 8
        assert len(set(sheet.tobytes())) > 100


def test_prepare_fills_the_store_once_and_says_where(run: Run, study: Path) -> None:
    assert "train: 3 images of 16 x 16 take 0.00 GiB as raw pixels" in run("prepare", study)
    assert run("prepare", study).count("are in the store already") == 2


def test_a_changed_photo_is_prepared_anew(run: Run, study: Path, tmp_path: Path) -> None:
    run("prepare", study)
    write_photo(tmp_path / "photos/e.jpg", seed=99, width=50)
    again = run("prepare", study)
    assert again.count("are in the store already") == 1
    assert "test: stored in" in again


def test_sound_data_verifies(run: Run, study: Path) -> None:
    assert run("verify", study).splitlines()[-2:] == [
        "test: 1 class has no positive label: dog",
        "4 images checked; problems: 0, notes: 1",
    ]


def test_verify_finds_what_spoils_results(run: Run, study: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "c.jpg").write_bytes(b"no picture")
    shutil.copy(photos / "d.jpg", photos / "e.jpg")
    write_photo(photos / "extra.jpg", seed=5)
    found = run("verify", study, status=1)
    assert "train image c.jpg cannot be read" in found
    assert "the same picture: train d.jpg, test e.jpg" in found
    assert "1 image in" in found
    assert "without labels: extra.jpg" in found
    assert found.splitlines()[-1] == "4 images checked; problems: 2, notes: 2"


FEATURES = """\
name: toured
data:
  dataset: features
  root: {root}
  features: {{file: train.arff, test_file: test.arff, classes: scene.xml}}
model: {{backbone: linear}}
method: {{name: AN}}
"""


@pytest.fixture
def features(tmp_path: Path) -> Path:
    root, _ = trees.mulan(tmp_path / "mulan")
    path = tmp_path / "study.yaml"
    path.write_text(FEATURES.format(root=root))
    return path


def test_given_features_are_rows_without_pictures(run: Run, features: Path, tmp_path: Path) -> None:
    shown = run("info", features)
    assert "features: 4 rows to train and validate on, 2 to test on, 2 classes" in shown
    assert "2 features per row" in shown
    with pytest.raises(DataError, match="no pictures to show; leave out --picture"):
        run("info", features, "--picture", tmp_path / "sheet.png", error=True)
    assert run("prepare", features).count("features are given, so there is nothing to prepare") == 2


def test_verify_finds_rows_that_are_trained_on_and_tested_on(run: Run, features: Path, tmp_path: Path) -> None:
    assert run("verify", features).splitlines()[-1] == "6 rows checked; problems: 0, notes: 0"
    test = tmp_path / "mulan/test.arff"
    test.write_text(test.read_text(encoding="utf-8-sig") + "4,1,0,0\n")
    found = run("verify", features, status=1)
    assert "the same features: train train.arff#3, test test.arff#2" in found


def test_prepare_says_what_jpegs_would_take_and_keeps_them(run: Run, study: Path) -> None:
    study.write_text(study.read_text().replace("  image_size: 16\n", "  image_size: 16\n  store: jpeg\n"))
    told = run("prepare", study)
    assert "train: 3 images of 16 x 16 take 0.00 GiB as JPEGs" in told
    assert "-q95-" in told
    study.write_text(study.read_text().replace("store: jpeg", "store: none"))
    assert run("prepare", study).count("decoded for each batch") == 2


def test_info_counts_files_by_format(run: Run, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "image files, by suffix: 4 JPEG" in run("info", study)
    monkeypatch.setattr(pixels, "_register_heif", lambda: False)
    photos = tmp_path / "photos"
    (photos / "c.jpg").rename(photos / "c.HEIC")
    table = photos / "labels.csv"
    table.write_text(table.read_text(encoding="utf-8-sig").replace("c.jpg", "c.HEIC"))
    assert "3 JPEG, 1 HEIC (cannot be read: pip install 'wsml-study[heic]')" in run("info", study)


def test_verify_finds_images_of_nearly_constant_pixels(run: Run, study: Path, tmp_path: Path) -> None:
    """16-bit images that use few of the values are nearly black unless the range that they use is scaled."""
    photos = tmp_path / "photos"
    for number, name in enumerate("cd"):
        dim = np.random.RandomState(number).randint(0, 400, size=(20, 30)).astype(np.uint16)
        Image.fromarray(dim).save(photos / f"{name}.png")
        (photos / f"{name}.png").rename(photos / f"{name}.jpg")
    found = run("verify", study, status=1)
    assert "2 images are nearly constant (standard deviation of the pixels below 2 of 255): train c.jpg" in found
    assert "set `data.pixel_range: used`" in found
    study.write_text(study.read_text().replace("  image_size: 16\n", "  image_size: 16\n  pixel_range: used\n"))
    assert "problems: 0" in run("verify", study)
    run("info", study, "--picture", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert np.asarray(sheet)[10:100].std() > 40


@pytest.mark.timeout(60)
def test_a_fifo_named_as_a_photo_is_refused(run: Run, study: Path, tmp_path: Path) -> None:
    (tmp_path / "photos/c.jpg").unlink()
    os.mkfifo(tmp_path / "photos/c.jpg")
    assert "train image c.jpg cannot be read: a FIFO, not an image file" in run("verify", study, status=1)
    with pytest.raises(DataError, match=r"c.jpg: a FIFO, not an image file\nput image files there"):
        run("prepare", study, error=True)
