"""Whether early stopping was safe, on cases worked out by hand."""

import pandas as pd
import pytest

from wsml_study.results.rung_agreement import rung_agreement

FINAL = [1.0, 2.0, 3.0, 4.0]
EARLY = [2.0, 1.0, 3.0, 4.0]
"""After one epoch the first two of four trials stand the other way round."""


def study_of(early: list[float], final: list[float], stopped: list[float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials of two epochs, and trials that were stopped after the first."""
    trials = [(n, "complete", value, 2) for n, value in enumerate(final)]
    trials += [(len(final) + n, "stopped", value, 1) for n, value in enumerate(stopped)]
    epochs = [(n, 1, value) for n, value in enumerate([*early, *stopped])] + [(n, 2, v) for n, v in enumerate(final)]
    return (
        pd.DataFrame(trials, columns=["trial", "state", "value", "last_epoch"]),
        pd.DataFrame(epochs, columns=["trial", "epoch", "objective"]),
    )


def test_rank_correlations_are_over_trials_that_ran_to_their_end():
    (one,) = rung_agreement(*study_of(EARLY, FINAL, stopped=[0.5, 3.5]))
    assert (one.epoch, one.arrived, one.stopped, one.finished) == (1, 6, 2, 4)
    assert one.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))  # the ranks differ by 1, 1, 0, 0
    assert one.kendall == pytest.approx((5 - 1) / 6)  # one pair of six is the other way round
    assert one.rank_of_best == 1


def test_the_later_best_may_have_been_behind_trials_that_were_stopped():
    (one,) = rung_agreement(*study_of([4.0, 1.0, 2.0, 3.0], FINAL, stopped=[3.5]))
    assert one.rank_of_best == 3


def test_with_too_few_or_equal_values_a_correlation_is_none():
    (few,) = rung_agreement(*study_of([1.0, 2.0], [1.0, 2.0], stopped=[]))
    assert (few.spearman, few.kendall) == (None, None)
    (alike,) = rung_agreement(*study_of([5.0] * 4, FINAL, stopped=[]))
    assert (alike.spearman, alike.kendall) == (None, None)
    assert rung_agreement(*study_of([1.0], [1.0], stopped=[0.5])) == []
