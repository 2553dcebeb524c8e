"""Which classes count in means over classes, as `objective.classes` says.

Shapes: N images, C classes.
"""

from __future__ import annotations

import math

from torch import Tensor

from wsml_study.methods.contract import NEGATIVE, POSITIVE


def counted_classes(labels_NC: Tensor, least_positives: int) -> Tensor:
    """(C,) whether a class counts in means over classes.

    >>> import torch
    >>> counted_classes(torch.tensor([[1, -1, 1], [1, -1, 0]]), 1)
    tensor([ True, False,  True])

    Args:
        labels_NC: +1 positive; the images of one split.
        least_positives: that a class needs, as `Objective.least_positives` has them.
    """
    return (labels_NC == POSITIVE).sum(0) >= least_positives


def num_evaluated(labels_NC: Tensor, least_positives: int) -> int:
    """The number of classes that a mAP on these labels is the mean of: those that count, and have a negative too."""
    evaluated_C = counted_classes(labels_NC, least_positives) & (labels_NC == NEGATIVE).any(0)
    return int(evaluated_C.sum())


def counted_ap(ap_C: Tensor, labels_NC: Tensor, least_positives: int) -> Tensor:
    """AP of the classes that count, NaN for the others; `ap_C` itself where all of them do."""
    if least_positives == 0:
        return ap_C
    return ap_C.masked_fill(~counted_classes(labels_NC, least_positives).to(ap_C.device), math.nan)
