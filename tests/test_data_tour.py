"""`wsml-study data`: what it lists, shows, prepares and finds wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.data import trees
from tests.data.conftest import write_photo
from wsml_study.cli.entry import app
from wsml_study.data.dataset import DATASETS
from wsml_study.data_tour import KNOWN

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

    def run(*arguments: object, status: int = 0) -> str:
        done = CliRunner().invoke(app, ["data", *map(str, arguments)])
        assert done.exit_code == status, done.output
        return done.output

    return run


def test_every_reader_is_listed(run: Run) -> None:
    assert tuple(one.name for one in KNOWN) == DATASETS
    assert all(name in run("list") for name in DATASETS)


def test_info_counts_classes_and_what_is_hidden(run: Run, study: Path) -> None:
    shown = run("info", study)
    assert "table: 3 images to train and validate on, 1 to test on, 2 classes" in shown
    assert "training labels: 66.7% are known, 66.67% are seen by a method" in shown
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
    assert "train: 3 images of 16 x 16 take 0.00 GiB" in run("prepare", study)
    assert run("prepare", study).count("are in the store already") == 2


def test_a_changed_photo_is_prepared_anew(run: Run, study: Path, tmp_path: Path) -> None:
    run("prepare", study)
    write_photo(tmp_path / "photos/e.jpg", seed=99, width=50)
    again = run("prepare", study)
    assert again.count("are in the store already") == 1
    assert "test: stored in" in again


def test_sound_data_verifies(run: Run, study: Path) -> None:
    assert run("verify", study).splitlines()[-2:] == [
        "test: 1 classes have no positive label: dog",
        "4 images looked at; problems: 0, notes: 1",
    ]


def test_verify_finds_what_spoils_results(run: Run, study: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "c.jpg").write_bytes(b"no picture")
    shutil.copy(photos / "d.jpg", photos / "e.jpg")
    write_photo(photos / "extra.jpg", seed=5)
    found = run("verify", study, status=1)
    assert "train image c.jpg cannot be read" in found
    assert "the same picture: train d.jpg, test e.jpg" in found
    assert "1 images in" in found
    assert "have no labels: extra.jpg" in found
    assert found.splitlines()[-1] == "4 images looked at; problems: 2, notes: 2"
