"""The k largest candidates of a global batch.

Shapes: B images of this rank's share of the batch, C classes, G = R * B * C entries of the shares of all R ranks; K
batches at once where methods are stacked.
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
    """A number of labels for each of K batches.

    Attributes:
        counts_K1: int64.
        most: the largest, known without asking the device.
    """

    counts_K1: Tensor
    most: int

    @classmethod
    def of(cls, counts: list[int], device: torch.device) -> Counts:
        """These, on a device."""
        return cls(counts_K1=torch.tensor(counts, device=device)[:, None], most=max(counts))


def reaches_kth(candidates_BC: Tensor, k: int | Counts, peers: Peers) -> Tensor:
    """Mask of what reaches the k-th largest candidate of the global batch, ties at the border included.

    Args:
        candidates_BC: what to rank; -inf where there is no candidate. With fewer than k candidates the mask is True
            everywhere, also where there is none.
        k: how many, at least 0; of each of K batches where candidates are (K, B, C).
        peers: the ranks that share the global batch.
    """
    candidates_G = peers.gather(candidates_BC).flatten(-2)
    num_candidates = candidates_G.shape[-1]
    most = min(k if isinstance(k, int) else k.most, num_candidates)
    # With k = 0 nothing reaches the threshold.
    largest = F.pad(candidates_G.topk(most).values, (1, 0), value=math.inf)
    kth = largest[..., -1:] if isinstance(k, int) else largest.gather(-1, k.counts_K1.clamp(max=num_candidates))
    return candidates_BC >= kth[..., None]
