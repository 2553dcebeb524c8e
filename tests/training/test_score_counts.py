"""Counts of scores that reach others: equal to plain comparisons, whichever way they are found."""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsml_study.training import score_counts
from wsml_study.training.score_counts import num_reaching


def compared(scores_N: npt.NDArray[np.floating], least_P: npt.NDArray[np.floating]) -> list[int]:
    return [int((scores_N >= least).sum()) for least in least_P]


@st.composite
def asked(draw: st.DrawFn) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Scores with ties, far apart and close together, and some of them, ascending."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    tied = st.sampled_from([-math.inf, -3e38, -1.0, -0.0, 0.0, 1e-30, 1.0, 1.0 + 2**-23, 3e38, math.inf])
    anything = st.floats(width=32, allow_nan=False)
    scores = draw(st.lists(tied | anything, min_size=32, max_size=70))
    chosen = draw(st.lists(st.sampled_from(scores), min_size=1, max_size=10))
    return np.array(scores, dtype), np.sort(np.array(chosen, dtype))


@settings(deadline=None, max_examples=100)
@given(example=asked())
def test_counts_are_exact_by_buckets(example: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]) -> None:
    # Only here: while hypothesis draws, warnings of other tests' garbage may come up.
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings(action="error"):
        patched.setattr(score_counts, "sorts_slowly", lambda: True)
        patched.setattr(score_counts, "FEWEST_SCORES", 1)
        patched.setattr(score_counts, "LARGEST_SHARE", 10)
        patched.setattr(score_counts, "MOST_COMPARISONS", math.inf)
        assert num_reaching(*example).tolist() == compared(*example)


SPREADS = {
    "logits": lambda scores: scores,
    "probabilities": lambda scores: 1 / (1 + np.exp(7 - 2 * scores)),
    "one far away": lambda scores: np.where(np.arange(len(scores)) == 5, 1e6, scores),
    "tied": lambda scores: scores.round(1),
    "all equal": np.zeros_like,
}


@pytest.mark.parametrize("sorts_slowly", [True, False])
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("share", [0.0001, 0.03, 0.6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_are_exact_on_many_scores(
    spread: str, share: float, dtype: type[np.floating], sorts_slowly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_counts, "sorts_slowly", lambda: sorts_slowly)
    rng = np.random.default_rng(0)
    scores_N = SPREADS[spread](rng.normal(size=20_000)).astype(dtype)
    scores_N[rng.random(len(scores_N)) < 0.2] = -np.inf  # as those without a label
    least_P = np.sort(scores_N[rng.random(len(scores_N)) < share])
    reaching_N = np.sort(scores_N)
    expected_P = len(scores_N) - np.searchsorted(reaching_N, least_P)
    np.testing.assert_array_equal(num_reaching(scores_N, least_P), expected_P)


def test_logits_are_not_sorted() -> None:
    scores_N = np.random.default_rng(1).normal(size=20_000).astype(np.float32)
    least_P = np.sort(scores_N[::30])
    found_P = score_counts._by_buckets(scores_N, least_P)
    assert found_P is not None
    assert found_P.tolist() == compared(scores_N, least_P)
