"""Large-loss methods: among unobserved labels, a large loss betrays a likely false negative.

A network learns the clean labels first and memorizes the false negatives later, so the largest losses under
"unobserved is negative" are distrusted: left out (LL-R), or taken as positive for one step (LL-Ct) or for good (LL-Cp).

Source: Kim, Kim, Akata, Lee, "Large Loss Matters in Weakly Supervised Multi-Label Classification", CVPR 2022. Unlike
the authors' code,

1. an observed label is never selected, however large the rate;
2. the number of labels to select comes from exact arithmetic, so it does not drift over the epochs;
3. LL-Cp keeps exactly the entries that it selected, the ones at the threshold included;
4. several ranks select among the whole global batch, as one rank would.

The same holds for every variant that is named after another public re-implementation.

Shapes: B images of this rank's share of the batch, C classes, N training images, G = R * B * C entries of the shares
of all R ranks. K trials at once, where methods are stacked, come before all other dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.baselines import assume_negative
from wsml_study.methods.contract import (
    ALONE,
    PADDING,
    POSITIVE,
    UNOBSERVED,
    Batch,
    Method,
    Outcome,
    Peers,
    sum_of_entries,
)
from wsml_study.methods.rates import LARGEST_DENOMINATOR, Rates, Schedules
from wsml_study.methods.schedules import Schedule, distrusted_count, exact_rate
from wsml_study.methods.selection import Counts, reaches_kth


class Scheme(StrEnum):
    """What happens to a distrusted label."""

    REJECTION = "LL-R"
    TEMPORARY_CORRECTION = "LL-Ct"
    PERMANENT_CORRECTION = "LL-Cp"


class Variant(StrEnum):
    """What the rate is a fraction of, what becomes of ties at the border, and what a mean divides by.

    k = ceil(rate * n) unless said otherwise; U are the unobserved entries of the global batch.

    - CODE, which produced the published numbers: n = B * C of the global batch, padding excluded; every loss that
      reaches the k-th largest is selected. snucml/LargeLossMatters, and its authors' youngwk/BridgeGapExplanationPAMC.
    - PAPER: n = |U|; only losses above the (k + 1)-th largest are selected.
    - UNOBSERVED: n = |U|; every loss that reaches the k-th largest is selected. michalwols/yann.
    - MLCPL: n = |U|, and k is rounded to the nearest integer (halves to the even one), at least 1; only losses above
      the k-th largest are selected, which makes it k - 1 without ties. maxium0526/mlcpl, which knows no warm-up.
    - PER_IMAGE: n = C, and every image has a k-th largest of its own. After the re-implementations that leave out a
      fixed number of the likeliest unobserved classes of each image (`LargeLossMattersMask`).
    - KEPT: as CODE, but LL-R's mean divides by the entries that are not rejected, as the losses of
      HCPLab-SYSU/HCP-MLR-PL and the LL-R written in their manner do. LL-Ct and LL-Cp reject nothing: there it is CODE.
    """

    CODE = "code"
    PAPER = "paper"
    UNOBSERVED = "unobserved"
    MLCPL = "mlcpl"
    PER_IMAGE = "per_image"
    KEPT = "kept"


_STATE_OF_DISTRUSTED = {
    Scheme.REJECTION: PADDING,  # to be rejected and to be padding are the same to the loss: both count 0
    Scheme.TEMPORARY_CORRECTION: POSITIVE,
    Scheme.PERMANENT_CORRECTION: POSITIVE,
}


@dataclass(frozen=True, kw_only=True)
class LargeLoss:
    """What large_loss makes of a batch.

    Attributes:
        loss: (), or (K,) of K batches, the mean over all B * C entries, rejected ones included in the count (but see
            Variant.KEPT); with several ranks this rank's share of it, scaled so that the average over ranks is the
            global mean.
        distrusted_BC: mask of the selected entries.
    """

    loss: Tensor
    distrusted_BC: Tensor


def large_loss(
    logits_BC: Tensor,
    labels_BC: Tensor,
    *,
    scheme: Scheme,
    rate: float | Fraction | Rates,
    variant: Variant = Variant.CODE,
    num_images: int | None = None,
    peers: Peers = ALONE,
) -> LargeLoss:
    """Binary cross-entropy that distrusts the largest losses among unobserved labels.

    >>> logits, labels = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1, 0, 0]], dtype=torch.int8)
    >>> large_loss(logits, labels, scheme=Scheme.REJECTION, rate=0.3).distrusted_BC
    tensor([[False, False,  True]])

    Args:
        logits_BC: scores before the sigmoid.
        labels_BC: +1 positive, -1 negative, 0 unobserved, 9 padding (a whole row).
        scheme: what happens to a distrusted label. LL-Cp differs from LL-Ct only in what its caller remembers.
        rate: fraction in [0, 1] of the counted entries; 0 gives plain assume-negative. K of them where logits are
            (K, B, C).
        variant: what the rate is a fraction of, what becomes of ties, and what a mean divides by.
        num_images: images of the global batch, padding excluded; by default B, for one rank without padding.
        peers: the ranks that share the global batch.

    Returns:
        The loss, computed in float32 at least, and the mask of what was selected.

    Raises:
        ValueError: the shapes differ or are not (B, C), or the rate leaves [0, 1].

    Source: Kim et al., CVPR 2022, with the differences that the top of this file lists.
    """
    if logits_BC.ndim < 2 or logits_BC.shape != labels_BC.shape:
        raise ValueError(
            f"expected logits and labels of one shape (B, C), got {tuple(logits_BC.shape)} and {tuple(labels_BC.shape)}"
        )
    num_entries = (logits_BC.shape[-2] if num_images is None else num_images) * logits_BC.shape[-1]
    rate = rate if isinstance(rate, Rates) else exact_rate(rate)
    candidates_BC = assume_negative(logits_BC.detach(), labels_BC).masked_fill(labels_BC != UNOBSERVED, -math.inf)
    reached_BC = _SELECTIONS[variant](candidates_BC, rate, num_entries, peers)
    distrusted_BC = reached_BC & (labels_BC == UNOBSERVED)
    treated_BC = labels_BC.masked_fill(distrusted_BC, _STATE_OF_DISTRUSTED[scheme])
    loss = sum_of_entries(assume_negative(logits_BC, treated_BC)) * (peers.size / num_entries)
    if variant is Variant.KEPT and scheme is Scheme.REJECTION:
        num_kept = num_entries - peers.gather(sum_of_entries(distrusted_BC)[None]).sum(0)
        loss = loss * (num_entries / num_kept.clamp(min=1))
    return LargeLoss(loss=loss, distrusted_BC=distrusted_BC)


def _reaching_kth(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """Losses that reach the k-th largest, k = ceil(rate * num_entries); all of them if there are fewer than k.

    Candidates are the losses of unobserved entries, and -inf elsewhere. So it is in every selection.
    """
    return reaches_kth(candidates_BC, _count(rate, num_entries, candidates_BC.device), peers)


def _above_next(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """Losses above the (k + 1)-th largest, k = ceil(rate * |U|); ties at the border are left out."""
    del num_entries
    ranked = _ranked(candidates_BC, peers)
    return candidates_BC > _at(ranked, _ceiling(_num_unobserved(ranked), rate) + 1)


def _reaching_kth_of_unobserved(
    candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers
) -> Tensor:
    """Losses that reach the k-th largest, k = ceil(rate * |U|)."""
    del num_entries
    ranked = _ranked(candidates_BC, peers)
    return candidates_BC >= _at(ranked, _ceiling(_num_unobserved(ranked), rate))


def _above_kth_rounded(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """Losses above the k-th largest, k = rate * |U| rounded half to even, at least 1."""
    del num_entries
    ranked = _ranked(candidates_BC, peers)
    return candidates_BC > _at(ranked, _nearest(_num_unobserved(ranked), rate).clamp(min=1))


def _reaching_kth_of_image(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """Losses that reach the k-th largest of their image, k = ceil(rate * C)."""
    del num_entries, peers
    count = _count(rate, candidates_BC.shape[-1], candidates_BC.device)
    if isinstance(count, int):
        return candidates_BC >= F.pad(candidates_BC.topk(count).values, (1, 0), value=math.inf)[..., -1:]
    largest = F.pad(candidates_BC.topk(count.most).values, (1, 0), value=math.inf)
    return candidates_BC >= largest.gather(-1, count.counts_K1[..., None].expand(*candidates_BC.shape[:-1], 1))


def _count(rate: Fraction | Rates, num_counted: int, device: torch.device) -> int | Counts:
    return rate.counts(num_counted, device) if isinstance(rate, Rates) else distrusted_count(rate, num_counted)


def _ranked(candidates_BC: Tensor, peers: Peers) -> Tensor:
    """(..., G + 2) inf, then the candidates of the global batch from the largest down, then -inf: the k-th is at k."""
    ranked_G = peers.gather(candidates_BC).flatten(-2).sort(descending=True).values
    return F.pad(F.pad(ranked_G, (1, 0), value=math.inf), (0, 1), value=-math.inf)


def _num_unobserved(ranked: Tensor) -> Tensor:
    """(..., 1): |U| of the global batch, which only the device knows; asking for it would stall the device."""
    return (ranked > -math.inf).sum(-1, keepdim=True) - 1


def _at(ranked: Tensor, position: Tensor) -> Tensor:
    """(..., 1, 1): what stands at a position (..., 1)."""
    return ranked.gather(-1, position)[..., None]


def _parts(rate: Fraction | Rates, device: torch.device) -> tuple[int | Tensor, int | Tensor]:
    """Numerator and denominator of the nearest fraction with a denominator up to 10**9."""
    if isinstance(rate, Rates):
        return rate.fraction(device)
    rate = rate.limit_denominator(LARGEST_DENOMINATOR)
    return rate.numerator, rate.denominator


def _ceiling(count: Tensor, rate: Fraction | Rates) -> Tensor:
    """ceil(rate * count) where the count is, in 64-bit integers.

    The rate is taken as the nearest fraction with a denominator up to 10**9: exact for all that nine decimals write.
    """
    numerator, denominator = _parts(rate, count.device)
    return (count * numerator + denominator - 1) // denominator


def _nearest(count: Tensor, rate: Fraction | Rates) -> Tensor:
    """rate * count rounded to the nearest integer, halves to the even one; exact as _ceiling is."""
    numerator, denominator = _parts(rate, count.device)
    product = count * numerator
    below = product // denominator
    twice_rest = 2 * (product - below * denominator)
    up = (twice_rest > denominator) | ((twice_rest == denominator) & (below % 2 == 1))
    return below + up


_SELECTIONS: dict[Variant, Callable[[Tensor, Fraction | Rates, int, Peers], Tensor]] = {
    Variant.CODE: _reaching_kth,
    Variant.PAPER: _above_next,
    Variant.UNOBSERVED: _reaching_kth_of_unobserved,
    Variant.MLCPL: _above_kth_rounded,
    Variant.PER_IMAGE: _reaching_kth_of_image,
    Variant.KEPT: _reaching_kth,
}


class LargeLossMethod(Method):
    """What the three methods share: in epoch t the share schedule(t) is distrusted."""

    stacked_numbers = ("schedule",)
    scheme: ClassVar[Scheme]

    def __init__(self, labels_NC: Tensor, *, schedule: Schedule, variant: str) -> None:
        """Distrust by schedule.

        Args:
            labels_NC: observed states of all training images.
            schedule: epoch -> rejection rate.
            variant: one of Variant.
        """
        super().__init__(labels_NC)
        self.schedule: Schedule | Schedules = schedule
        self.variant = Variant(variant)

    def forward(self, batch: Batch) -> Outcome:
        """The large loss of a batch at the epoch's rate; nothing is remembered from batch to batch."""
        result = self._large_loss(batch, batch.labels_BC, self.schedule(batch.epoch))
        return Outcome(loss=result.loss, distrusted_BC=result.distrusted_BC)

    def rejection_rate(self, epoch: int) -> float:
        """The share of the counted labels that is distrusted in an epoch."""
        rate = self.schedule(epoch)
        assert isinstance(rate, Fraction), "a stack has many rates"
        return float(rate)

    def _large_loss(self, batch: Batch, labels_BC: Tensor, rate: Fraction | Rates) -> LargeLoss:
        return large_loss(
            batch.logits_BC,
            labels_BC,
            scheme=self.scheme,
            rate=rate,
            variant=self.variant,
            num_images=batch.num_images,
            peers=batch.peers,
        )


class Rejection(LargeLossMethod):
    """LL-R: a distrusted label is left out of this step's loss."""

    scheme = Scheme.REJECTION


class TemporaryCorrection(LargeLossMethod):
    """LL-Ct: a distrusted label is a positive in this step's loss."""

    scheme = Scheme.TEMPORARY_CORRECTION


class PermanentCorrection(LargeLossMethod):
    """LL-Cp: a distrusted label is a positive from the step in which it was selected, for good.

    Because corrections last, the schedule gives the share distrusted in all, and epoch t corrects what it has grown
    by, schedule(t) - schedule(t - 1). Under the linear schedule that is the constant rate of the paper.

    Attributes:
        corrected_NC: bool, the corrected entries of the training label matrix; equal on every rank.
    """

    scheme = Scheme.PERMANENT_CORRECTION
    corrected_NC: Tensor

    def __init__(self, labels_NC: Tensor, *, schedule: Schedule, variant: str) -> None:
        """Start without corrections; arguments as those of LL-R."""
        super().__init__(labels_NC, schedule=schedule, variant=variant)
        self.register_buffer("corrected_NC", torch.zeros(labels_NC.shape, dtype=torch.bool))

    def forward(self, batch: Batch) -> Outcome:
        """The loss under earlier corrections and this step's; all of them in the batch are its distrusted labels.

        Raises:
            ValueError: the schedule falls, as no correction can be taken back.
        """
        rows_B = batch.rows_B
        earlier_BC = self.corrected_NC[rows_B] & (batch.labels_BC == UNOBSERVED)
        labels_BC = batch.labels_BC.masked_fill(earlier_BC, POSITIVE)
        result = self._large_loss(batch, labels_BC, self._increase(batch.epoch))
        self._correct(rows_B, result.distrusted_BC, batch.peers)
        return Outcome(loss=result.loss, distrusted_BC=earlier_BC | result.distrusted_BC)

    def _increase(self, epoch: int) -> Fraction | Rates:
        if isinstance(self.schedule, Schedules):
            return self.schedule.increase(epoch)
        return self.schedule(epoch) - self.schedule(epoch - 1)

    def _correct(self, rows_B: Tensor, selected_BC: Tensor, peers: Peers) -> None:
        """Mark the selected entries of every rank's share.

        Padding rows point to row 0 and select nothing. A maximum is the one way to write that lets them, and a real
        share of row 0, come in any order.
        """
        rows = peers.gather(rows_B).flatten()
        selected = peers.gather(selected_BC.view(torch.uint8)).flatten(0, -2)
        self.corrected_NC.view(torch.uint8).scatter_reduce_(0, rows[:, None].expand_as(selected), selected, "amax")
