"""Counts of labels, and whether positives are likelier to be known than negatives."""

from __future__ import annotations

import numpy as np
import pytest

from wsml_study.data.judged_labels import JudgedLabels, positives_likelier

LABELS_MC = np.array([[1, -1], [0, -1], [1, 0]], dtype=np.int8)


def test_unlabelled_entries_are_left_out_or_count_as_negative() -> None:
    left_out, assumed = JudgedLabels.count(LABELS_MC), JudgedLabels.count(LABELS_MC, choice="observed")
    assert (left_out.positives_C, left_out.negatives_C) == ((2, 0), (0, 2))
    assert (left_out.assumed_C, left_out.left_out_C) == ((0, 0), (1, 1))
    assert (assumed.assumed_C, assumed.left_out_C) == ((1, 1), (0, 0))
    assert [(one.known, one.total) for one in (left_out, assumed)] == [(4, 6), (4, 6)]


@pytest.mark.parametrize(("of_positives", "of_negatives"), [(0.8, 0.1), (0.3, 0.3), (0.05, 0.5)])
def test_the_ratio_of_two_shares_is_found_from_the_truth_or_from_other_images(
    of_positives: float, of_negatives: float
) -> None:
    random = np.random.RandomState(0)
    truth_MC, other_MC = (np.where(random.rand(4000, 5) < 0.2, 1, -1) for _ in range(2))
    known_MC = np.where(random.rand(4000, 5) < np.where(truth_MC == 1, of_positives, of_negatives), truth_MC, 0)
    expected = pytest.approx(of_positives / of_negatives, rel=0.1)
    assert positives_likelier(known_MC, [truth_MC]) == expected
    assert positives_likelier(known_MC, [known_MC, other_MC]) == expected


def test_nothing_is_said_without_a_reference_or_with_few_labels() -> None:
    assert positives_likelier(LABELS_MC, [LABELS_MC]) is None
    assert positives_likelier(LABELS_MC, [np.sign(LABELS_MC + 0.5)]) is None
    whole_MC = np.tile(np.array([[1, -1]], dtype=np.int8), (20, 1))
    assert positives_likelier(whole_MC, [whole_MC]) is None
