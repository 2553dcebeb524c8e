"""Seeds and orders as functions of the trial's seed and the epoch, so that a resumed trial repeats them exactly."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor


def seed_of(*parts: int) -> int:
    """A seed in [0, 2^63) that depends on all of these numbers."""
    # SeedSequence mixes its parts: seed + epoch would give trial 1 in epoch 2 what trial 2 has in epoch 1.
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def seed_torch(seed: int) -> None:
    """Seed torch's global generators.

    `torch.manual_seed` also notes the seed, with a stack trace, for each kind of device that is not in use: that takes
    longer than to build a linear probe, and memory for good.
    """
    if _has_gpu():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@cache
def _has_gpu() -> bool:
    return torch.cuda.is_available()


def order_of_epoch(num_images: int, *, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """The order (N,) in which an epoch takes its N images, and a mask (N,), by image, of those that it mirrors."""
    # A generator of its own: the order is the same whatever else has drawn numbers, on any rank and device.
    generator = torch.Generator().manual_seed(seed_of(seed, epoch))
    return torch.randperm(num_images, generator=generator), torch.rand(num_images, generator=generator) < 0.5


def mirrored_in_prediction(num_images: int, *, seed: int, epoch: int) -> Tensor:
    """A mask (N,) of the images that are mirrored when training images are predicted after an epoch."""
    generator = torch.Generator().manual_seed(seed_of(seed, epoch, 0, 1))  # another draw than the epoch's own
    return torch.rand(num_images, generator=generator) < 0.5
