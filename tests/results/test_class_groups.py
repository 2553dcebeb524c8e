"""mAP by groups of classes: by number of training labels, each class in its group, as computed by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from wsml_study.data.openimages_v3 import frequency_groups
from wsml_study.results.class_groups import group_means, trial_groups


def labels_with(num_annotations: list[int]) -> sparse.csr_array:
    """Labels of which each class has so many, positive and negative in turn."""
    columns = np.repeat(np.arange(len(num_annotations)), num_annotations)
    rows = np.concatenate([np.arange(count) for count in num_annotations])
    states = np.where(np.arange(len(rows)) % 2, 1, -1).astype(np.int8)
    return sparse.csr_array((states, (rows, columns)), shape=(max(num_annotations), len(num_annotations)))


def test_groups_go_from_rarely_to_often_annotated_classes() -> None:
    assert frequency_groups(labels_with([60, 50, 40, 30, 20])).tolist() == [5, 4, 3, 2, 1]
    assert frequency_groups(labels_with([7] * 10)).tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5], "in their own order"


def test_five_thousand_classes_make_five_groups_of_a_thousand() -> None:
    shuffled = np.random.default_rng(0).permutation(5000)
    groups = frequency_groups(labels_with((shuffled % 500 + 1).tolist()))
    by_hand = {int(column): place // 1000 + 1 for place, column in enumerate(np.argsort(shuffled % 500, kind="stable"))}
    assert sum(by_hand[column] != group for column, group in enumerate(groups.tolist())) == 0
    assert np.bincount(groups).tolist() == [0, 1000, 1000, 1000, 1000, 1000]


def test_classes_that_cannot_be_evaluated_are_left_out_of_their_group() -> None:
    assert group_means([10.0, None, 30.0, None], [2, 2, 3, 1]) == {1: None, 2: 10.0, 3: 30.0}


def test_groups_of_the_classes_table() -> None:
    rows = [(0, "validation", 50.0, 1), (0, "validation", None, 1), (0, "validation", 70.0, 2), (0, "test", 9.0, 1)]
    table = pd.DataFrame(rows, columns=["trial", "split", "average_precision", "class_group"])
    found = trial_groups(table, "validation")
    assert (found.index.tolist(), found.columns.tolist()) == ([0], ["G1", "G2"])
    assert found.loc[0].tolist() == pytest.approx([50.0, 70.0])
    assert trial_groups(table.assign(class_group=None), "test").empty
