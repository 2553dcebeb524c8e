"""Scenes of handwritten digits."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from wsml_study.data.digit_scenes import (
    MOST_OVERLAP,
    SEEDS,
    SHARES,
    SIZE,
    _handwritten_digits,
    _overlap,
    draw_scenes,
    read_digit_scenes,
    render_scenes,
)
from wsml_study.data.label_states import count_labels, hide_labels
from wsml_study.data.readers import read_dataset
from wsml_study.errors import DataError

SCENES = draw_scenes(1_500, seed=1)
FIRST_LABELS = [[2, 3], [1, 2, 6, 8], [6, 7], [9]]
LAYOUTS_SHA = {"train": "1d06ecb4b02a059d", "test": "dbdff73de64031e0"}
PIXELS_SHA = "b31c325f1c13d292"


def test_a_folder_of_data_is_refused() -> None:
    with pytest.raises(DataError, match=r"digit_scenes is embedded .* no --data-root, got 'photos'"):
        read_dataset("digit_scenes", root="photos")


def test_sizes_are_what_the_description_says() -> None:
    dataset = read_dataset("digit_scenes")
    assert dataset.train.labels_NC.shape == (1_500, 10)
    assert dataset.test.labels_NC.shape == (1_000, 10)
    assert (dataset.image_size, dataset.channels, dataset.horizontal_flip) == (32, 1, False)


def test_a_scene_shows_one_to_five_different_digits_in_the_shares_given() -> None:
    assert all(len({glyph.label for glyph in scene}) == len(scene) for scene in SCENES)
    counts = np.bincount([len(scene) for scene in SCENES])
    assert counts.tolist() == [0, 508, 474, 292, 142, 84]
    np.testing.assert_allclose(counts[1:] / len(SCENES), SHARES, atol=0.02)


def test_every_class_is_about_as_frequent() -> None:
    positives_C = (read_digit_scenes().train.labels_NC == 1).sum(axis=0)
    assert positives_C.min() > 300
    assert positives_C.max() < 360


def test_labels_are_complete() -> None:
    assert (read_digit_scenes().train.labels_NC != 0).all()


def test_expected_share_of_false_negatives() -> None:
    truth = read_digit_scenes().train.labels_NC
    counts = count_labels(truth, hide_labels(truth, positives=1, negatives=0, seed=1200))
    assert counts.observed_positives == 1_500
    assert round(counts.positives_per_image or 0, 4) == 2.2133
    assert round(counts.false_negative_share or 0, 4) == 0.1348  # (2.2133 - 1) / 9


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_are_those_of_the_scenes_that_are_drawn(split) -> None:
    labels_NC = getattr(read_digit_scenes(), split).labels_NC
    scenes = draw_scenes(len(labels_NC), SEEDS[split])
    assert hashlib.sha256(repr(scenes).encode()).hexdigest()[:16] == LAYOUTS_SHA[split]
    for labels_C, scene in zip(labels_NC, scenes, strict=True):
        assert set(np.flatnonzero(labels_C == 1)) == {glyph.label for glyph in scene}


def test_labels_of_the_first_scenes_and_the_pixels_of_all_never_change() -> None:
    labels_NC = read_digit_scenes().train.labels_NC
    assert [np.flatnonzero(labels_C == 1).tolist() for labels_C in labels_NC[:4]] == FIRST_LABELS
    pixels = render_scenes("train", 100).tobytes()
    assert hashlib.sha256(pixels).hexdigest()[:16] == PIXELS_SHA


def test_digits_lie_inside_the_canvas() -> None:
    for scene in SCENES:
        for glyph in scene:
            assert 0 <= glyph.top <= SIZE - glyph.size
            assert 0 <= glyph.left <= SIZE - glyph.size


def test_little_overlap() -> None:
    pairs = [
        _overlap(one.top, one.left, one.size, other)
        for scene in SCENES
        for number, one in enumerate(scene)
        for other in scene[number + 1 :]
    ]
    assert np.mean([overlap > MOST_OVERLAP for overlap in pairs]) < 0.005
    assert max(pairs) < 0.5


def test_digits_of_train_and_test_are_disjoint_and_together_all() -> None:
    digits = {split: np.concatenate(_handwritten_digits(split)) for split in ("train", "test")}
    assert len(digits["train"]) + len(digits["test"]) == 1_797
    train, test = ({digit.tobytes() for digit in digits[split]} for split in ("train", "test"))
    assert not train & test


def test_a_scene_is_bright_where_its_digits_are_and_dark_elsewhere() -> None:
    images_N1HW = render_scenes("train", 200)
    for image_1HW, scene in zip(images_N1HW, draw_scenes(200, seed=1), strict=True):
        elsewhere_HW = np.ones((SIZE, SIZE), dtype=bool)
        for glyph in scene:
            area = np.s_[glyph.top : glyph.top + glyph.size, glyph.left : glyph.left + glyph.size]
            assert image_1HW[0][area].max() > 150
            elsewhere_HW[area] = False
        assert image_1HW[0][elsewhere_HW].max() < 16


def test_fewer_scenes_are_the_first_of_more() -> None:
    assert draw_scenes(5, seed=1) == SCENES[:5]
