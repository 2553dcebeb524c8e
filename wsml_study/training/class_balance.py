"""Class-balanced sampling: every class is drawn as often, and then one of the images that show it.

Source: "class-aware sampling" of Shen, Lin and Huang, "Relay Backpropagation", ECCV 2016. With several positives an
image is drawn for each of them. Images without an observed positive count as one more class, which the source has not.

Shapes: N training images, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wsml_study.methods.contract import POSITIVE
from wsml_study.training.randomness import seed_of

SAMPLING = 5
"""Part of the seeds of draws, which other draws of an epoch do not have."""


def class_balanced_weights(labels_NC: Tensor) -> Tensor:
    """How likely each image is to be drawn, (N,), summing to 1.

    Args:
        labels_NC: the states that the method is shown.

    >>> class_balanced_weights(torch.tensor([[1, 0], [1, 0], [1, 1], [0, 0]])).tolist()
    [0.1111111111111111, 0.1111111111111111, 0.4444444444444444, 0.3333333333333333]
    """
    is_positive_NC = labels_NC == POSITIVE
    is_member_NC = torch.cat([is_positive_NC, ~is_positive_NC.any(1, keepdim=True)], dim=1).double()
    sizes_C = is_member_NC.sum(0)
    weights_N = (is_member_NC / sizes_C.clamp(min=1)).sum(1)
    return weights_N / weights_N.sum()


def class_balanced_order(weights_N: Tensor, *, seed: int, epoch: int) -> Tensor:
    """N draws (N,) of images, with replacement: what an epoch takes, in order."""
    generator = torch.Generator().manual_seed(seed_of(seed, epoch, SAMPLING))
    return torch.multinomial(weights_N, len(weights_N), replacement=True, generator=generator)
