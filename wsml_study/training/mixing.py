"""Images that are mixed with others in training, and the labels of the mixtures: mixup and LogicMix.

What an image is mixed with depends on seed, epoch and image (the shares of mixup on the number of the batch instead),
so that a trial that is resumed, or shared by several workers, sees the same mixtures.

Shapes: N training images, B images of a batch, K images of a mixture, the first one being the image itself; C classes,
M images that are fetched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wsml_study.methods.contract import NEGATIVE
from wsml_study.study.training_section import Training
from wsml_study.training.randomness import seed_of

MIXING = 4
"""Part of the seeds of mixtures, which other draws of an epoch do not have."""

ALPHA, SHARE, MOST_IMAGES = 0.2, 0.5, 3
"""Defaults: of the Beta distribution of mixup; of the images that LogicMix mixes, and how many it mixes at most."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The mixtures of a batch.

    Attributes:
        rows_BK: int64, rows of the training images; where fewer than K are mixed, the image itself takes their place.
        shares_BK: float32, of the pixels; sums to 1.
        fetched_M: int64, rows of the images that the mixtures are made of: the B images, then what is mixed in.
        places_BK: int64, where in `fetched_M` each is.
        second_share: mixup: share of the second image in the loss; None where labels are mixed.
    """

    rows_BK: Tensor
    shares_BK: Tensor
    fetched_M: Tensor
    places_BK: Tensor
    second_share: float | None


class Mixing:
    """Draws what the images of an epoch are mixed with."""

    def __init__(self, training: Training, num_images: int) -> None:
        """Take the kind of mixing from the config.

        Args:
            training: with `mixup`.
            num_images: N.
        """
        self._training, self._num_images = training, num_images
        self._most = 2 if training.mixup == "mixup" else training.mixup_images or MOST_IMAGES

    def begin(self, epoch: int) -> None:
        """Draw the partners (N, K - 1) of all images in an epoch, and with how many each is mixed (N,)."""
        generator = torch.Generator().manual_seed(seed_of(self._training.seed, epoch, MIXING))
        self._epoch = epoch
        shape = (self._num_images, self._most - 1)
        self._partners = torch.randint(self._num_images, shape, generator=generator)
        is_mixed_N = torch.rand(self._num_images, generator=generator) < (self._training.mixup_share or SHARE)
        several_N = torch.randint(2, self._most + 1, (self._num_images,), generator=generator)
        self._counts = torch.where(is_mixed_N, several_N, 1)

    def mixture(self, rows_B: Tensor, batch: int) -> Mixture:
        """The mixtures of a batch, after `begin`.

        Args:
            rows_B: of its images, on the CPU.
            batch: its number in the epoch, from 0.
        """
        rows_BK = torch.cat([rows_B[:, None], self._partners[rows_B]], dim=1)
        if self._training.mixup == "mixup":
            draws = np.random.default_rng(seed_of(self._training.seed, self._epoch, batch, MIXING))
            alpha = ALPHA if self._training.mixup_alpha is None else self._training.mixup_alpha
            # The larger share is the image's own: its labels are those that the epoch's figures count.
            second = float(min(share := draws.beta(alpha, alpha), 1 - share))
            shares_BK = torch.tensor([1 - second, second]).repeat(len(rows_B), 1)
            return _mixture(rows_BK, torch.ones_like(rows_BK, dtype=torch.bool), shares_BK, second)
        counts_B1 = self._counts[rows_B][:, None]
        is_member_BK = torch.arange(self._most)[None] < counts_B1
        rows_BK = torch.where(is_member_BK, rows_BK, rows_B[:, None])
        return _mixture(rows_BK, is_member_BK, is_member_BK / counts_B1, None)


def _mixture(rows_BK: Tensor, is_member_BK: Tensor, shares_BK: Tensor, second_share: float | None) -> Mixture:
    num_images = len(rows_BK)
    is_other_BK = is_member_BK.clone()
    is_other_BK[:, 0] = False
    places_BK = torch.arange(num_images)[:, None].repeat(1, rows_BK.shape[1])
    places_BK[is_other_BK] = num_images + torch.arange(int(is_other_BK.sum()))
    return Mixture(
        rows_BK=rows_BK,
        shares_BK=shares_BK,
        fetched_M=torch.cat([rows_BK[:, 0], rows_BK[is_other_BK]]),
        places_BK=places_BK,
        second_share=second_share,
    )


def mixed_images(images_MchW: Tensor, places_BK: Tensor, shares_BK: Tensor) -> Tensor:
    """Mixtures, float32 (B, c, H, W), of images as stored.

    Args:
        images_MchW: what the mixtures are made of.
        places_BK, shares_BK: as of `Mixture`, on the images' device.
    """
    total = torch.zeros(len(places_BK), *images_MchW.shape[1:], device=images_MchW.device)
    # One after another: a sum over K could be taken in another order for another B.
    for places_B, shares_B in zip(places_BK.T, shares_BK.T, strict=True):
        total += images_MchW[places_B].float() * shares_B.view(-1, 1, 1, 1)
    return total


def mixed_labels(labels_BKC: Tensor) -> Tensor:
    """Logical OR of states: positive if one is, negative if all are, else unobserved; (B, C).

    >>> mixed_labels(torch.tensor([[[1, 0, -1, 0], [0, 0, -1, -1]]])).tolist()
    [[1, 0, -1, 0]]

    Source: Chong et al., "Free Performance Gain from Mixing Multiple Partially Labeled Samples in Multi-label Image
    Classification", arXiv 2405.15860; maxium0526/logic_mix. Images that fill up a mixture repeat one that is in it.
    """
    assert NEGATIVE < 0  # so that OR is the maximum: negative < unobserved < positive
    return labels_BKC.amax(dim=1)
