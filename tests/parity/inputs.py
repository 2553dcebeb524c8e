"""Inputs on which the published code was run, and on which the tests run ours: plain arithmetic, in double precision.

Shapes: N images, C classes, B images of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

NUM_IMAGES, NUM_CLASSES, BATCH_SIZE, NUM_EPOCHS = 40, 20, 16, 10
GOLDEN = 0.6180339887498949


def wave(num_rows: int, num_columns: int, shift: float) -> Tensor:
    """Distinct values spread evenly over (-1, 1), float64."""
    position = torch.arange(1, num_rows * num_columns + 1, dtype=torch.float64)
    return 2 * ((position * GOLDEN + shift) % 1).reshape(num_rows, num_columns) - 1


def logits_of(epoch: int) -> Tensor:
    """Logits (N, C) of all images in an epoch, in (-4, 4)."""
    return 4 * wave(NUM_IMAGES, NUM_CLASSES, 0.01 * epoch)


def one_positive() -> Tensor:
    """Labels (N, C) int8: one observed positive per image, the others unobserved."""
    labels_NC = torch.zeros(NUM_IMAGES, NUM_CLASSES, dtype=torch.int8)
    rows = torch.arange(NUM_IMAGES)
    labels_NC[rows, (7 * rows + 3) % NUM_CLASSES] = 1
    return labels_NC


def with_negatives() -> Tensor:
    """Labels (N, C) int8: as `one_positive`, and three observed negatives per image."""
    labels_NC = one_positive()
    rows = torch.arange(NUM_IMAGES)
    for offset in (4, 8, 12):
        labels_NC[rows, (7 * rows + offset) % NUM_CLASSES] = -1
    return labels_NC


def batches(epoch: int) -> Iterator[Tensor]:
    """Rows (B,) of each batch of an epoch: 16, 16 and 8 images in an order of that epoch."""
    order_N = (7 * torch.arange(NUM_IMAGES) + 3 * epoch) % NUM_IMAGES
    yield from order_N.split(BATCH_SIZE)


def direction(num_rows: int) -> Tensor:
    """(B, C), onto which gradients are projected, so that one number stands for all of them."""
    return wave(num_rows, NUM_CLASSES, 0.5)
