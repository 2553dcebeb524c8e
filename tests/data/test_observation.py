"""Draws of what a method gets to see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from wsml_study.data.dataset import Dataset, GivenFeatures, Split
from wsml_study.data.label_states import hide_labels
from wsml_study.data.observation import hide_with_bias, keep_share, observed_labels, train_and_validation_rows
from wsml_study.errors import DataError

LABELS = arrays.arrays(np.int8, st.tuples(st.integers(1, 12), st.integers(1, 6)), elements=st.sampled_from([-1, 0, 1]))
NOTHING_ELSE = {"positives": 1, "negatives": 0, "bias": None, "share": None, "share_per_class": None}


@given(truth_NC=LABELS, share=st.floats(0.01, 1), per_class=st.booleans(), seed=st.integers(0, 99))
def test_a_share_is_exact_and_shows_nothing_but_the_truth(truth_NC, share, per_class, seed) -> None:
    observed_NC = keep_share(truth_NC, share, per_class=per_class, seed=seed)
    kept_NC = observed_NC != 0
    np.testing.assert_array_equal(observed_NC[kept_NC], truth_NC[kept_NC])
    if per_class:
        assert kept_NC.sum(axis=0).tolist() == [round(share * n) for n in (truth_NC != 0).sum(axis=0)]
    else:
        assert kept_NC.sum() == round(share * np.count_nonzero(truth_NC))


@given(truth_NC=LABELS, positives=st.integers(0, 3), negatives=st.integers(0, 3), bias=st.floats(-5, 5))
def test_a_biased_draw_keeps_as_many_as_a_fair_one(truth_NC, positives, negatives, bias) -> None:
    biased_NC = hide_with_bias(truth_NC, positives=positives, negatives=negatives, bias=bias, seed=3)
    fair_NC = hide_labels(truth_NC, positives=positives, negatives=negatives, seed=3)
    for state in (-1, 1):
        assert (biased_NC == state).sum(axis=1).tolist() == (fair_NC == state).sum(axis=1).tolist()
    assert (truth_NC[biased_NC != 0] == biased_NC[biased_NC != 0]).all()


def test_a_bias_has_the_odds_that_it_says() -> None:
    """Class 0 is in 4,000 images, class 1 in 1,000 of them: at a bias of 1 the odds are 4 to 1, at -1 1 to 4."""
    truth_NC = np.full((4_000, 2), -1, dtype=np.int8)
    truth_NC[:, 0] = 1
    truth_NC[:1_000, 1] = 1
    shares = {}
    for bias in (-1.0, 0.0, 1.0):
        observed_NC = hide_with_bias(truth_NC, positives=1, negatives=0, bias=bias, seed=5)
        shares[bias] = (observed_NC[:1_000, 1] == 1).mean()
    assert shares == pytest.approx({-1.0: 0.8, 0.0: 0.5, 1.0: 0.2}, abs=0.04)


def test_without_anything_else_the_draw_is_the_published_one() -> None:
    truth_NC = np.array([[1, 1, -1], [-1, 1, 1]], dtype=np.int8)
    expected_NC = hide_labels(truth_NC, positives=1, negatives=0, seed=1200)
    np.testing.assert_array_equal(observed_labels(truth_NC, **NOTHING_ELSE, seed=1200), expected_NC)


def test_partial_labels_are_kept_and_not_hidden_further() -> None:
    truth_NC = sparse.csr_array(np.array([[1, 0], [0, -1]], dtype=np.int8))
    assert observed_labels(truth_NC, **NOTHING_ELSE | {"positives": "all", "negatives": "all"}, seed=1) is truth_NC
    with pytest.raises(DataError, match="partial already"):
        observed_labels(truth_NC, **NOTHING_ELSE, seed=1)


def dataset_of(num_images: int) -> Dataset:
    def split(count: int) -> Split:
        return Split(
            names=tuple(map(str, range(count))),
            labels_NC=np.ones((count, 1), dtype=np.int8),
            images=GivenFeatures(values_ND=np.zeros((count, 2), dtype=np.float32)),
        )

    return Dataset(
        name="features",
        classes=("one",),
        train=split(num_images),
        test=split(1),
        image_size=None,
        horizontal_flip=False,
        channels=None,
    )


@given(small=st.floats(0.1, 1), large=st.floats(0.1, 1), hold_out=st.booleans(), seed=st.integers(0, 99))
def test_a_smaller_share_of_the_training_images_is_a_part_of_a_larger_one(small, large, hold_out, seed) -> None:
    dataset = dataset_of(50)
    small, large = sorted((small, large))
    whole, held_out = train_and_validation_rows(dataset, 0.2, seed, hold_out=hold_out)
    rows = {}
    for share in (small, large):
        rows[share], validation = train_and_validation_rows(dataset, 0.2, seed, hold_out=hold_out, share=share)
        np.testing.assert_array_equal(validation, held_out)
        assert len(rows[share]) == round(share * len(whole))
        assert (np.diff(rows[share]) > 0).all()
    assert set(rows[small]) <= set(rows[large]) <= set(whole)


def test_another_seed_draws_other_training_images() -> None:
    drawn = [train_and_validation_rows(dataset_of(50), 0.2, seed, share=0.5)[0].tolist() for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_share_without_an_image_is_refused() -> None:
    with pytest.raises(DataError, match=r"data.train_share: 0.01 of 8 training images is less than one"):
        train_and_validation_rows(dataset_of(10), 0.2, 1, share=0.01)
