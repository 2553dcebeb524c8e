"""Large-loss methods: among unobserved labels, a large loss indicates a likely false negative.

A network learns the clean labels first and memorizes the false negatives later. So the largest losses under
"unobserved is negative" are distrusted: left out (LL-R), or taken as positive, in this step only (LL-Ct) or in all
later ones too (LL-Cp).

Source: Kim, Kim, Akata, Lee, "Large Loss Matters in Weakly Supervised Multi-Label Classification", CVPR 2022. Unlike
the authors' code (snucml/LargeLossMatters),

1. an observed label is never selected, however large the rate;
2. the number of labels to select comes from exact arithmetic, so it does not drift over the epochs;
3. LL-Cp stores exactly the entries that it selected, the one at the threshold included;
4. several ranks select among the whole global batch, as one rank would;
5. never more than k entries are selected: of equal losses the first in the global batch, image by image.

The same holds for every variant named after another public re-implementation. The variant `as_published` restores what
the authors' code does in 3 and 5.

Shapes: B images of this rank's share of the batch, C classes, N training images, G = R * B * C entries of the shares
of all R ranks. K trials at once, where methods are stacked, come before all other dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import partial
from typing import Any, ClassVar

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
from wsml_study.methods.rates import LARGEST_DENOMINATOR, FilledRate, Rates, Schedules
from wsml_study.methods.schedules import Schedule, carried_count, distrusted_count, exact_rate
from wsml_study.methods.selection import (
    Counts,
    first_k,
    gathered,
    k_largest,
    k_largest_of_each,
    kth_largest,
    own_share,
)


class Scheme(StrEnum):
    """What happens to a distrusted label."""

    REJECTION = "LL-R"
    TEMPORARY_CORRECTION = "LL-Ct"
    PERMANENT_CORRECTION = "LL-Cp"


class Variant(StrEnum):
    """What the rate is a fraction of, how ties at the threshold are treated, and what a mean divides by.

    k = ceil(rate * n) unless stated otherwise; U are the unobserved entries of the global batch.

    - CODE: n = B * C of the global batch, padding excluded; the k largest losses are selected. Without ties this
      produced the published numbers of LL-R and LL-Ct (snucml/LargeLossMatters), and the same authors' later
      youngwk/BridgeGapExplanationPAMC does it for all three. The published numbers of LL-Cp come from AS_PUBLISHED.
    - AS_PUBLISHED: as CODE, but every loss that reaches the k-th largest is selected, more than k where some are equal,
      and LL-Cp stores only what lies strictly above the k-th largest: k - 1 entries without ties, none at k = 1; the
      others are positives in this step only. snucml/LargeLossMatters of March 2022. (Since July 2022 that repository
      compares strings with `is`, so its LL-Cp no longer stores anything and equals LL-Ct.)
    - PAPER: n = |U|; only losses above the (k + 1)-th largest are selected.
    - UNOBSERVED: n = |U|; the k largest losses are selected. michalwols/yann, which also takes ties.
    - MLCPL: n = |U|, and k is rounded to the nearest integer (halves to the even one), at least 1; only losses above
      the k-th largest are selected, which makes it k - 1 without ties. maxium0526/mlcpl, which has no warm-up.
    - PER_IMAGE: n = C, and the k largest losses of each image are selected. After re-implementations that leave out a
      fixed number of the likeliest unobserved classes of each image (`LargeLossMattersMask`).
    - KEPT: as CODE, but LL-R's mean divides by the entries that are not rejected, as the losses of
      HCPLab-SYSU/HCP-MLR-PL and LL-R implementations built on them do. LL-Ct and LL-Cp reject nothing: they are CODE.
    - CARRIED: as CODE, but k is not rounded up in every batch: what rounding leaves travels on to the epoch's next
      batch, so that after n entries of an epoch exactly floor(rate * n) have been selected. No paper has it.
    """

    CODE = "code"
    AS_PUBLISHED = "as_published"
    PAPER = "paper"
    UNOBSERVED = "unobserved"
    MLCPL = "mlcpl"
    PER_IMAGE = "per_image"
    KEPT = "kept"
    CARRIED = "carried"


_STATE_OF_DISTRUSTED = {
    Scheme.REJECTION: PADDING,  # rejected entries and padding are treated alike by the loss: both count 0
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
        stored_BC: mask of those that LL-Cp stores: all of them, except in Variant.AS_PUBLISHED.
    """

    loss: Tensor
    distrusted_BC: Tensor
    stored_BC: Tensor


def large_loss(
    logits_BC: Tensor,
    labels_BC: Tensor,
    *,
    scheme: Scheme,
    rate: float | Fraction | Rates,
    variant: Variant = Variant.CODE,
    num_images: int | None = None,
    num_before: int = 0,
    peers: Peers = ALONE,
) -> LargeLoss:
    """Binary cross-entropy that distrusts the largest losses among unobserved labels.

    >>> logits, labels = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1, 0, 0]], dtype=torch.int8)
    >>> large_loss(logits, labels, scheme=Scheme.REJECTION, rate=0.3).distrusted_BC
    tensor([[False, False,  True]])

    Args:
        logits_BC: scores before the sigmoid.
        labels_BC: +1 positive, -1 negative, 0 unobserved, 9 padding (a whole row).
        scheme: what happens to a distrusted label. LL-Cp differs from LL-Ct only in what its caller stores.
        rate: fraction in [0, 1] of the counted entries; 0 gives plain assume-negative. K of them where logits are
            (K, B, C); a `FilledRate` where logits are (B, C).
        variant: what the rate is a fraction of, how ties are treated, and what a mean divides by.
        num_images: images of the global batch, padding excluded; by default B, for one rank without padding.
        num_before: entries of the epoch's earlier global batches, padding excluded; of them only CARRIED takes note.
        peers: the ranks that share the global batch.

    Returns:
        The loss, computed in float32 at least, and the masks of what was selected and of what LL-Cp stores.

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
    select = partial(_carried, num_before=num_before) if variant is Variant.CARRIED else _SELECTIONS[variant]
    distrusted_BC = select(candidates_BC, rate, num_entries, peers) & (labels_BC == UNOBSERVED)
    stored_BC = distrusted_BC
    if variant is Variant.AS_PUBLISHED and scheme is Scheme.PERMANENT_CORRECTION:
        stored_BC = distrusted_BC & _above_kth(candidates_BC, rate, num_entries, peers)
    treated_BC = labels_BC.masked_fill(distrusted_BC, _STATE_OF_DISTRUSTED[scheme])
    loss = sum_of_entries(assume_negative(logits_BC, treated_BC)) * (peers.size / num_entries)
    if variant is Variant.KEPT and scheme is Scheme.REJECTION:
        num_kept = num_entries - peers.gather(sum_of_entries(distrusted_BC)[None]).sum(0)
        loss = loss * (num_entries / num_kept.clamp(min=1))
    return LargeLoss(loss=loss, distrusted_BC=distrusted_BC, stored_BC=stored_BC)


# Each selection takes candidates that are the losses of unobserved entries, and -inf elsewhere, and gives a mask that
# may be True where there is no candidate.


def _largest(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """The k largest losses, k = ceil(rate * num_entries); all of them if there are fewer than k."""
    return k_largest(candidates_BC, _count(rate, num_entries, candidates_BC.device), peers)


def _reaching_kth(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """Losses that reach the k-th largest, k = ceil(rate * num_entries), ties included."""
    return candidates_BC >= _kth(candidates_BC, rate, num_entries, peers)


def _above_kth(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """Losses above the k-th largest, k = ceil(rate * num_entries)."""
    return candidates_BC > _kth(candidates_BC, rate, num_entries, peers)


def _kth(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """(..., 1, 1)."""
    count = _count(rate, num_entries, candidates_BC.device)
    return kth_largest(gathered(candidates_BC, peers), count)[..., None]


def _above_next(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """Losses above the (k + 1)-th largest, k = ceil(rate * |U|); ties at the threshold are left out."""
    del num_entries
    ranked = _ranked(gathered(candidates_BC, peers))
    return candidates_BC > _at(ranked, _ceiling(_num_unobserved(ranked), rate) + 1)


def _largest_of_unobserved(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """The k largest losses, k = ceil(rate * |U|)."""
    del num_entries
    candidates_G = gathered(candidates_BC, peers)
    ranked = _ranked(candidates_G)
    k = _ceiling(_num_unobserved(ranked), rate)
    return own_share(first_k(candidates_G, ranked.gather(-1, k), k), candidates_BC, peers)


def _above_kth_rounded(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """Losses above the k-th largest, k = rate * |U| rounded half to even, at least 1."""
    del num_entries
    ranked = _ranked(gathered(candidates_BC, peers))
    return candidates_BC > _at(ranked, _nearest(_num_unobserved(ranked), rate).clamp(min=1))


def _largest_of_image(candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers) -> Tensor:
    """The k largest losses of each image, k = ceil(rate * C)."""
    del num_entries, peers
    count = _count(rate, candidates_BC.shape[-1], candidates_BC.device)
    of_each = count if isinstance(count, int) else count.of_each_image(candidates_BC.shape[-2])
    return k_largest_of_each(candidates_BC, of_each)


def _carried(
    candidates_BC: Tensor, rate: Fraction | Rates, num_entries: int, peers: Peers, *, num_before: int
) -> Tensor:
    """The k largest losses, with which floor(rate * all entries so far) are selected."""
    if isinstance(rate, Rates):
        return k_largest(candidates_BC, rate.carried_counts(num_before, num_entries, candidates_BC.device), peers)
    return k_largest(candidates_BC, carried_count(rate, num_before, num_entries), peers)


def _count(rate: Fraction | Rates, num_counted: int, device: torch.device) -> int | Counts:
    return rate.counts(num_counted, device) if isinstance(rate, Rates) else distrusted_count(rate, num_counted)


def _ranked(candidates_G: Tensor) -> Tensor:
    """(..., G + 2) inf, then the candidates of the global batch in descending order, then -inf: the k-th is at k."""
    return F.pad(F.pad(candidates_G.sort(descending=True).values, (1, 0), value=math.inf), (0, 1), value=-math.inf)


def _num_unobserved(ranked: Tensor) -> Tensor:
    """(..., 1): |U| of the global batch, kept on the device: reading it would synchronize host and device."""
    return (ranked > -math.inf).sum(-1, keepdim=True) - 1


def _at(ranked: Tensor, position: Tensor) -> Tensor:
    """(..., 1, 1): the value at a position (..., 1)."""
    return ranked.gather(-1, position)[..., None]


def _parts(rate: Fraction | Rates, device: torch.device) -> tuple[int | Tensor, int | Tensor]:
    """Numerator and denominator of the nearest fraction with a denominator up to 10**9."""
    if isinstance(rate, Rates):
        return rate.fraction(device)
    rate = rate.limit_denominator(LARGEST_DENOMINATOR)
    return rate.numerator, rate.denominator


def _ceiling(count: Tensor, rate: Fraction | Rates) -> Tensor:
    """ceil(rate * count) on the count's device, in 64-bit integers.

    The rate is taken as the nearest fraction with a denominator up to 10**9: exact for all that nine decimals write.
    """
    numerator, denominator = _parts(rate, count.device)
    return (count * numerator + denominator - 1) // denominator


def _nearest(count: Tensor, rate: Fraction | Rates) -> Tensor:
    """rate * count rounded to the nearest integer, halves to the even one; as exact as _ceiling."""
    numerator, denominator = _parts(rate, count.device)
    product = count * numerator
    below = product // denominator
    twice_rest = 2 * (product - below * denominator)
    up = (twice_rest > denominator) | ((twice_rest == denominator) & (below % 2 == 1))
    return below + up


_SELECTIONS: dict[Variant, Callable[[Tensor, Fraction | Rates, int, Peers], Tensor]] = {
    Variant.CODE: _largest,
    Variant.AS_PUBLISHED: _reaching_kth,
    Variant.PAPER: _above_next,
    Variant.UNOBSERVED: _largest_of_unobserved,
    Variant.MLCPL: _above_kth_rounded,
    Variant.PER_IMAGE: _largest_of_image,
    Variant.KEPT: _largest,
}


class LargeLossMethod(Method):
    """What the three methods have in common: in epoch t the fraction schedule(t) is distrusted."""

    stacked_numbers = ("schedule",)
    scheme: ClassVar[Scheme]

    def __init__(self, labels_NC: Tensor, *, schedule: Schedule, variant: str) -> None:
        """Take the schedule of the rejection rate.

        Args:
            labels_NC: observed states of all training images.
            schedule: epoch -> rejection rate.
            variant: one of Variant.
        """
        super().__init__(labels_NC)
        self.schedule: Schedule | Schedules = schedule
        self.variant = Variant(variant)
        self._epoch, self._num_before = 0, 0  # entries of the epoch's earlier batches
        self._compiled: Callable[..., LargeLoss] | None = None
        self._filled: FilledRate | None = None  # what the compiled loss takes as its rate
        self._num_epochs = 0

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Forget the batches of an epoch that is run again."""
        del epoch, epochs
        self._epoch = 0

    def forward(self, batch: Batch) -> Outcome:
        """The large loss of a batch at the epoch's rate."""
        result = self._large_loss(batch, batch.labels_BC)
        return Outcome(loss=result.loss, distrusted_BC=result.distrusted_BC)

    def compile_loss(self, compiled: Callable[[Callable[..., Any]], Callable[..., Any]], epochs: int) -> None:
        """Compile `large_loss`, with the number of labels to distrust in a tensor: it grows without compiling anew."""
        self._compiled, self._num_epochs = compiled(large_loss), epochs

    def rejection_rate(self, epoch: int) -> float:
        """The fraction of the counted labels that is distrusted in an epoch."""
        rate = self.schedule(epoch)
        assert isinstance(rate, Fraction), "a stack has many rates"
        return float(rate)

    def _rate(self, epoch: int) -> Fraction | Rates:
        """The fraction of the counted labels that is selected in an epoch."""
        return self.schedule(epoch)

    def _large_loss(self, batch: Batch, labels_BC: Tensor) -> LargeLoss:
        if batch.epoch != self._epoch:
            self._epoch, self._num_before = batch.epoch, 0
        num_before = self._num_before
        self._num_before += batch.num_entries
        rate = self._rate(batch.epoch)
        if self._compiled is not None:
            # The filled rate holds what comes of it. As an argument that changes, it would be compiled anew.
            rate, num_before = self._filled_with(rate, batch, num_before), 0
        compute = self._compiled or large_loss
        return compute(
            batch.logits_BC,
            labels_BC,
            scheme=self.scheme,
            rate=rate,
            variant=self.variant,
            num_images=batch.num_images,
            num_before=num_before,
            peers=batch.peers,
        )

    def _filled_with(self, rate: Fraction | Rates, batch: Batch, num_before: int) -> FilledRate:
        assert isinstance(rate, Fraction), "a stack is not compiled"
        if self._filled is None:
            rates = [self._rate(epoch) for epoch in range(1, self._num_epochs + 1)]
            self._filled = FilledRate(max(one for one in rates if isinstance(one, Fraction)), batch.logits_BC.device)
        num_counted = batch.logits_BC.shape[-1] if self.variant is Variant.PER_IMAGE else batch.num_entries
        self._filled.fill(rate, num_counted, num_before if self.variant is Variant.CARRIED else None)
        return self._filled


class Rejection(LargeLossMethod):
    """LL-R: a distrusted label is left out of this step's loss."""

    scheme = Scheme.REJECTION


class TemporaryCorrection(LargeLossMethod):
    """LL-Ct: a distrusted label is a positive in this step's loss."""

    scheme = Scheme.TEMPORARY_CORRECTION


class PermanentCorrection(LargeLossMethod):
    """LL-Cp: a distrusted label is a positive in the step that selects it and in all later ones.

    As corrections are permanent, the schedule gives the fraction corrected in total, and epoch t corrects its increase,
    schedule(t) - schedule(t - 1). Under the linear schedule that is the constant rate of the paper. The published
    numbers come from `Variant.AS_PUBLISHED`, which stores fewer.

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
        """The loss under earlier corrections and those of this step, which together are the distrusted labels.

        Raises:
            ValueError: the schedule falls, as no correction can be taken back.
        """
        rows_B = batch.rows_B
        earlier_BC = self.corrected_NC[rows_B] & (batch.labels_BC == UNOBSERVED)
        labels_BC = batch.labels_BC.masked_fill(earlier_BC, POSITIVE)
        result = self._large_loss(batch, labels_BC)
        self._correct(rows_B, result.stored_BC, batch.peers)
        return Outcome(loss=result.loss, distrusted_BC=earlier_BC | result.distrusted_BC)

    def corrected_labels(self) -> Tensor:
        """The stored ones."""
        return self.corrected_NC

    def _rate(self, epoch: int) -> Fraction | Rates:
        if isinstance(self.schedule, Schedules):
            return self.schedule.increase(epoch)
        return self.schedule(epoch) - self.schedule(epoch - 1)

    def _correct(self, rows_B: Tensor, stored_BC: Tensor, peers: Peers) -> None:
        """Store the entries of every rank's share."""
        rows = peers.gather(rows_B).flatten()
        stored = peers.gather(stored_BC.view(torch.uint8)).flatten(0, -2)
        # Padding rows are all False and point to row 0, which may also be in the batch: a maximum gives the same
        # result in whatever order duplicates of a row are written.
        self.corrected_NC.view(torch.uint8).scatter_reduce_(0, rows[:, None].expand_as(stored), stored, "amax")
