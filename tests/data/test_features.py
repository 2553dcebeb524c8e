"""Features of a frozen backbone, computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsml_study.data import stored_file
from wsml_study.data.features import Features, features_progress, stored_features
from wsml_study.errors import DataError

NUM_IMAGES, NUM_FEATURES = 150, 3


class Backbone:
    """Gives a row of its own for each image, and remembers for how many it was asked."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.num_computed = 0
        self.dies_after = dies_after

    def __call__(self, rows: range) -> Features:
        if self.dies_after is not None and self.num_computed >= self.dies_after:
            raise KeyboardInterrupt
        self.num_computed += len(rows)
        return np.array([[row, row**2, -row] for row in rows], dtype=np.float32)


def features_of(
    backbone: Backbone, cache: Path, *, images: str = "images", weights: str = "weights", num_images: int = NUM_IMAGES
) -> Features:
    return stored_features(
        images=images,
        backbone=weights,
        num_images=num_images,
        num_features=lambda: NUM_FEATURES,
        compute=backbone,
        cache_dir=cache,
    )


def test_they_are_computed_once_and_memory_mapped(tmp_path: Path) -> None:
    first, second = Backbone(), Backbone()
    features = features_of(first, tmp_path)
    np.testing.assert_array_equal(features, Backbone()(range(NUM_IMAGES)))
    again = features_of(second, tmp_path)
    assert (first.num_computed, second.num_computed) == (NUM_IMAGES, 0)
    assert isinstance(again, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        again[0] = 1


@pytest.mark.parametrize("other", [{"images": "others"}, {"weights": "others"}, {"num_images": NUM_IMAGES + 1}])
def test_other_images_and_other_weights_have_features_of_their_own(other: dict[str, str], tmp_path: Path) -> None:
    features_of(Backbone(), tmp_path)
    backbone = Backbone()
    features_of(backbone, tmp_path, **other)  # type: ignore[arg-type]
    assert backbone.num_computed >= NUM_IMAGES


def test_an_interrupted_computation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_file, "NOTE_INTERVAL_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        features_of(Backbone(dies_after=100), tmp_path)
    assert not list(tmp_path.glob("*.npy"))
    backbone = Backbone()
    features = features_of(backbone, tmp_path)
    assert backbone.num_computed == NUM_IMAGES - 128  # two blocks of 64 were done
    np.testing.assert_array_equal(features, Backbone()(range(NUM_IMAGES)))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".lock", ".npy"]


def test_their_progress_is_told_within_the_block_alone(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with features_progress(lambda done, total: told.append((done, total))):
        features_of(Backbone(), tmp_path)
    features_of(Backbone(), tmp_path, images="others")
    assert told == [(64, NUM_IMAGES), (128, NUM_IMAGES), (NUM_IMAGES, NUM_IMAGES)]


def test_features_that_are_not_finite_are_an_error_and_not_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not finite; its weights are damaged"):
        stored_features(
            images="images",
            backbone="weights",
            num_images=3,
            num_features=lambda: 1,
            compute=lambda rows: np.full((len(rows), 1), np.nan, dtype=np.float32),
            cache_dir=tmp_path,
        )
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    features_of(Backbone(), tmp_path)
    (stored,) = tmp_path.glob("*.npy")
    stored.write_bytes(stored.read_bytes()[:200])
    with pytest.raises(DataError, match=rf"{stored.name}: cannot be read as features .*delete it"):
        features_of(Backbone(), tmp_path)
