"""Describes in words the scores that a study gives its methods, `data.pseudo_labels`, and how right they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wsml_study.data.dataset import Dataset
from wsml_study.data.label_states import POSITIVE, UNOBSERVED, dense_rows
from wsml_study.data.pseudo_labels import read_pseudo_scores
from wsml_study.study.data_section import Data

HIGH = 0.5


def score_lines(dataset: Dataset, data: Data) -> Iterator[str]:
    """A line where there are scores: how many are high, and how often the known labels agree.

    Raises:
        DataError: the scores cannot be read, or do not fit the dataset.
    """
    if data.pseudo_labels is None:
        return
    high_NC = read_pseudo_scores(data.pseudo_labels, dataset.classes, dataset.train.names) >= HIGH
    truth_NC = dense_rows(dataset.train.labels_NC, np.arange(len(dataset.train)))
    right = int((high_NC & (truth_NC == POSITIVE)).sum())
    num_known, num_positives = int((high_NC & (truth_NC != UNOBSERVED)).sum()), int((truth_NC == POSITIVE).sum())
    yield (
        f"pseudo-labels of {data.pseudo_labels}: {high_NC.mean():.1%} of the scores are {HIGH:g} or more; "
        f"{right / max(1, num_known):.1%} of these that are known are positive, which is "
        f"{right / max(1, num_positives):.1%} of the known positives"
    )
