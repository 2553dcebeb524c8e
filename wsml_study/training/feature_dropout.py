"""Dropout of the features that a head gets, the same for an image on whichever rank it is.

Shapes: B images of a global batch, b of them on this rank, D features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from wsml_study.training.randomness import seed_of

DROPOUT = 2
"""Part of the seeds of masks, which other draws of an epoch do not have."""


class FeatureDropout:
    """Drops features in front of a head, in training, by masks that are drawn for a whole batch."""

    def __init__(self, head: nn.Linear, rate: float, seed: int) -> None:
        """Nothing is dropped until `draw`.

        Args:
            head: gets features (b, D), or maps of them (b, h, w, D), of which a feature is dropped everywhere.
            rate: share of the features that are dropped; the others grow by 1 / (1 - rate).
            seed: of the trial.
        """
        self._rate, self._seed, self._num_features = rate, seed, head.in_features
        self._mask_bD: Tensor | None = None
        head.register_forward_pre_hook(self._dropped)

    def draw(self, places_b: Tensor, num_images: int, *, epoch: int, batch: int, device: torch.device) -> None:
        """Draw the masks of a batch, of which this rank takes some.

        Args:
            places_b: of its images in the global batch.
            num_images: B.
            epoch, batch: of the trial, and of the epoch.
            device: of the features.
        """
        generator = torch.Generator().manual_seed(seed_of(self._seed, epoch, batch, DROPOUT))
        kept_BD = torch.rand(num_images, self._num_features, generator=generator) >= self._rate
        self._mask_bD = (kept_BD[places_b] / (1 - self._rate)).to(device)

    def end(self) -> None:
        """Drop nothing until the next `draw`."""
        self._mask_bD = None

    def _dropped(self, head: nn.Module, given: tuple[Any, ...]) -> tuple[Tensor] | None:
        features: Tensor = given[0]
        if self._mask_bD is None or not head.training:
            return None
        # A further view of the first images of a batch has their masks.
        mask = self._mask_bD[: len(features)].view(len(features), *[1] * (features.ndim - 2), -1)
        return (features * mask,)
