"""What another user may have written into the cache is compared before it is used; permissions follow umask."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wsml_study.data.dataset import ImageFiles
from wsml_study.data.features import stored_features
from wsml_study.data.image_store import ImageRows, Kind, open_images
from wsml_study.errors import DataError
from wsml_study.record.files import write_whole

NAMES = tuple(f"{number}.png" for number in range(8))
FEATURES = np.arange(80, dtype=np.float32).reshape(8, 10)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def source(tmp_path: Path, make_photo: Callable[..., None]) -> ImageFiles:
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(NAMES):
        make_photo(tmp_path / "photos" / name, seed=number)
    return ImageFiles(folder=tmp_path / "photos", names=NAMES)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def everybody_may_write(path: Path) -> None:
    path.chmod(0o666)


def belongs_to_another(path: Path) -> None:
    os.chown(path, 12_345, 12_345)


FOREIGN = [everybody_may_write, pytest.param(belongs_to_another, marks=needs_root)]


def open_all(source: ImageFiles, store: Path, kind: Kind) -> ImageRows:
    return open_images(source, size=16, channels=3, kind=kind, cache_dir=store)


@pytest.mark.parametrize("kind", ["raw", "jpeg"])
@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_foreign_store_is_used_if_it_holds_these_images(
    source: ImageFiles, store: Path, kind: Kind, foreign: Callable[[Path], None]
) -> None:
    before = np.array(open_all(source, store, kind)[np.arange(8)])
    for path in store.iterdir():
        foreign(path)
    np.testing.assert_array_equal(open_all(source, store, kind)[np.arange(8)], before)


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_foreign_store_with_other_pixels_is_refused(
    source: ImageFiles, store: Path, foreign: Callable[[Path], None]
) -> None:
    open_all(source, store, "raw")
    (stored,) = store.glob("*.npy")
    np.save(stored, np.load(stored)[::-1])
    foreign(stored)
    with pytest.raises(DataError, match=r"what it holds is not .*\.png; have it deleted, or set WSML_CACHE"):
        open_all(source, store, "raw")


def test_foreign_jpegs_with_other_pixels_are_refused(source: ImageFiles, store: Path) -> None:
    open_all(source, store, "jpeg")
    (stored,) = store.glob("*.npy")
    np.save(stored, np.load(stored)[::-1])
    (pixels,) = store.glob("*.jpegs")
    pixels.chmod(0o666)
    with pytest.raises(DataError, match="every user can write to it, and what it holds is not"):
        open_all(source, store, "jpeg")


def features(store: Path) -> np.ndarray:
    return stored_features(
        images="images",
        backbone="backbone",
        num_images=8,
        num_features=lambda: 10,
        compute=lambda rows: FEATURES[rows.start : rows.stop],
        cache_dir=store,
    )


@pytest.mark.parametrize("foreign", FOREIGN)
def test_foreign_features_are_compared_with_some_that_are_computed_anew(
    store: Path, foreign: Callable[[Path], None]
) -> None:
    features(store)
    (stored,) = store.glob("*.npy")
    foreign(stored)
    np.testing.assert_array_equal(features(store), FEATURES)
    np.save(stored, -FEATURES)
    foreign(stored)
    with pytest.raises(DataError, match="are not the features of these images; have it deleted, or set WSML_CACHE"):
        features(store)


@pytest.mark.parametrize(("umask", "file", "folder"), [(0o077, 0o600, 0o700), (0o027, 0o640, 0o750)])
def test_files_of_cache_and_results_follow_umask(
    source: ImageFiles, store: Path, tmp_path: Path, umask: int, file: int, folder: int
) -> None:
    before = os.umask(umask)
    try:
        open_all(source, store, "raw")
        open_all(source, store, "jpeg")
        features(store)
        write_whole(tmp_path / "results" / "study.yaml", b"name: x")
    finally:
        os.umask(before)
    made = [*store.iterdir(), tmp_path / "results" / "study.yaml"]
    assert {path.stat().st_mode & 0o777 for path in made} == {file}
    assert {path.stat().st_mode & 0o777 for path in (store, tmp_path / "results")} == {folder}
