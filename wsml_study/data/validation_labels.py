"""Which labels validation images are judged by, and whether a dataset's labels are complete.

Shapes: M validation images, C classes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from wsml_study.data.label_states import UNOBSERVED, AnyLabels, Labels, assume_negative, is_sparse
from wsml_study.data.reader_record import ReaderRecord
from wsml_study.errors import DataError

EpochChoice = Literal["clean", "known", "observed"]
"""What the epochs of a trial are judged by."""

LabelChoice = Literal["clean", "known", "observed", "estimated"]
"""As `data.validation.labels` has it."""


def epoch_choice(choice: LabelChoice, *, num_positives: int, num_negatives: int) -> EpochChoice:
    """What the epochs of a trial are judged by; `estimated` says how trials that have scores are ranked.

    Args:
        choice: of the study.
        num_positives, num_negatives: labels of the validation images that are known to be such.

    >>> epoch_choice("estimated", num_positives=100, num_negatives=3)
    'observed'
    """
    if choice != "estimated":
        return choice
    return "known" if num_negatives >= max(1, num_positives) else "observed"


def validation_labels(choice: EpochChoice, *, truth_MC: Labels, observed_MC: Labels) -> Labels:
    """int8 (M, C) states that epochs are evaluated on; entries of 0 are left out.

    Args:
        choice: `clean`: the true labels; `known`: those that are observed; `observed`: these, everything unobserved
            taken as negative.
        truth_MC: int8 states, 0 where the dataset does not say.
        observed_MC: int8 states, 0 where a label is hidden too.

    >>> truth_MC, observed_MC = np.array([[1, -1, 1, 0]]), np.array([[1, -1, 0, 0]])
    >>> [validation_labels(choice, truth_MC=truth_MC, observed_MC=observed_MC).tolist()
    ...  for choice in ("clean", "known", "observed")]
    [[[1, -1, 1, 0]], [[1, -1, 0, 0]], [[1, -1, -1, -1]]]
    """
    match choice:
        case "clean":
            return truth_MC
        case "known":
            return observed_MC
        case "observed":
            return assume_negative(observed_MC)


def incomplete(record: ReaderRecord, truth_MC: AnyLabels) -> DataError | None:
    """The error if validation images are to be judged by clean labels, and theirs are not complete; else None.

    Labels of a dataset that is published with complete labels are complete, whatever its protocol leaves out (such as
    Pascal VOC's difficult objects); in labels of one's own an entry without a label is one that nobody gave.
    """
    if not record.keeps_labels or record.leaves_out:
        return None
    num_total = truth_MC.shape[0] * truth_MC.shape[1]
    num_known = int(np.count_nonzero(truth_MC.data if is_sparse(truth_MC) else truth_MC != UNOBSERVED))
    if num_known == num_total:
        return None
    return DataError(
        f"data.validation.labels is `clean`, which needs complete labels: {num_total - num_known:,} of {num_total:,} "
        f"labels of the {truth_MC.shape[0]:,} validation images are unknown\nsay `validation: {{labels: known}}` under "
        f"data, which judges by the labels that are there, or `observed`, which takes the others as negative"
    )
