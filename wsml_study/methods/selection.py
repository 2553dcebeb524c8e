"""The k largest candidates of a global batch.

Shapes: B images of this rank's share of the batch, C classes, G = R * B * C entries of the shares of all R ranks, in
the order of the global batch; K batches at once where methods are stacked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.contract import Peers


@dataclass(frozen=True, kw_only=True)
class Counts:
    """A number of labels for each of K batches, or for one.

    Attributes:
        counts: (K, 1) int64, (K, B, 1) where each image has its own; (1,) and (B, 1) for one batch.
        most: none is larger; known without reading them from the device.
    """

    counts: Tensor
    most: int

    @classmethod
    def of(cls, counts: list[int], device: torch.device) -> Counts:
        """These counts, on a device."""
        return cls(counts=torch.tensor(counts, device=device)[:, None], most=max(counts))

    def of_each_image(self, num_images: int) -> Counts:
        """The count of a batch as that of each of its images."""
        counts = self.counts[..., None, :]
        return Counts(counts=counts.expand(*counts.shape[:-2], num_images, 1), most=self.most)


def k_largest(candidates_BC: Tensor, k: int | Counts, peers: Peers) -> Tensor:
    """Mask of the k largest candidates of the global batch; of equal ones the first in row-major order.

    Args:
        candidates_BC: what to rank; -inf where there is no candidate.
        k: how many, at least 0; of each of K batches where candidates are (K, B, C).
        peers: the ranks that share the global batch.

    Returns:
        This rank's share of the mask, in which k entries of the global batch are True. With fewer than k candidates
        these are all of them, and entries without a candidate.
    """
    candidates_G = gathered(candidates_BC, peers)
    return own_share(k_largest_of_each(candidates_G, k), candidates_BC, peers)


def k_largest_of_each(candidates: Tensor, k: int | Counts) -> Tensor:
    """Mask of the k largest of the last dimension, the first of equal ones."""
    return first_k(candidates, kth_largest(candidates, k), k if isinstance(k, int) else k.counts)


def first_k(candidates_G: Tensor, kth: Tensor, k: int | Tensor) -> Tensor:
    """Mask of what exceeds the k-th largest, and of the first that equal it, as many as make k.

    Args:
        candidates_G: (..., G).
        kth: (..., 1), the k-th largest.
        k: one number, or (..., 1).
    """
    above_G, tied_G = candidates_G > kth, candidates_G == kth
    # Counting up the ties cuts the surplus without a sort, without a value from the device, and in a fixed order.
    return above_G | (tied_G & (tied_G.cumsum(-1) <= k - above_G.sum(-1, keepdim=True)))


def kth_largest(candidates_G: Tensor, k: int | Counts) -> Tensor:
    """(..., 1), the k-th largest of (..., G); inf where k is 0, the least of all where k exceeds their number."""
    num_candidates = candidates_G.shape[-1]
    most = min(k if isinstance(k, int) else k.most, num_candidates)
    largest = F.pad(candidates_G.topk(most).values, (1, 0), value=math.inf)
    return largest[..., -1:] if isinstance(k, int) else largest.gather(-1, k.counts.clamp(max=num_candidates))


def gathered(candidates_BC: Tensor, peers: Peers) -> Tensor:
    """(..., G), the candidates of the global batch in row-major order."""
    return peers.gather_batch(candidates_BC).flatten(-2)


def own_share(mask_G: Tensor, candidates_BC: Tensor, peers: Peers) -> Tensor:
    """This rank's share of a mask (..., G) of the global batch, of the candidates' shape."""
    return peers.share_of(mask_G.view(*mask_G.shape[:-1], -1, candidates_BC.shape[-1]))
