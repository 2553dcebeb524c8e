"""Draws of what a method gets to see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from wsml_study.data.label_states import hide_labels
from wsml_study.data.observation import hide_with_bias, keep_share, observed_labels
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
