"""Memorization: losses of true positives, true negatives and false negatives, and which labels the method distrusts.

A network fits the clean labels first and memorizes the wrong ones later: then the loss of false negatives falls too.
The losses of the three groups show that epoch by epoch. They need the hidden truth and never influence the training.

Shapes: B images of this rank's share of the batch, C classes, G groups of entries; K trials at once, N training images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from wsml_study.methods.baselines import cross_entropy
from wsml_study.methods.contract import ALONE, NEGATIVE, PADDING, POSITIVE, UNOBSERVED, Peers

ENTRIES_AT_ONCE = 2**16
"""Images times classes that are counted together, at some 30 bytes each."""

ENTRIES_OF_A_TRIAL = 2**11
"""The same of one trial of several; with 64 trials the tensors of a count still fit into a cache."""

NUM_LOSSES = 3
"""Groups whose losses are summed: true positives, true negatives, false negatives, the first of all groups."""


@dataclass(frozen=True, kw_only=True)
class Memorization:
    """One epoch over all ranks; a value without any label to compute it from is None.

    Attributes:
        loss_true_positive: mean -ln p of labels observed positive that are.
        loss_true_negative: mean -ln(1 - p) of labels unobserved or observed negative that are negative.
        loss_false_negative: mean -ln(1 - p) of unobserved labels that are positive: the loss of calling them negative.
        num_distrusted: labels that the method distrusted, over all steps.
        distrust_precision: share of the distrusted labels with known truth that are positive.
        distrust_recall: share of the false negatives that were distrusted.
    """

    loss_true_positive: float | None
    loss_true_negative: float | None
    loss_false_negative: float | None
    num_distrusted: int
    distrust_precision: float | None
    distrust_recall: float | None


class MemorizationMeter:
    """Sums over an epoch's batches, kept on the device until the epoch ends.

    Batches are collected and counted several at a time: starting the operations costs more than counting few entries.
    """

    def __init__(self, device: torch.device | str, peers: Peers = ALONE) -> None:
        self._peers = peers
        self._losses = torch.zeros(3, dtype=torch.float64, device=device)
        self._counts = torch.zeros(6, dtype=torch.int64, device=device)
        self._waiting: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    @torch.no_grad()
    def update(self, *, logits_BC: Tensor, labels_BC: Tensor, truth_BC: Tensor, distrusted_BC: Tensor | None) -> None:
        """Count this rank's share of a batch.

        Args:
            logits_BC: scores before the sigmoid.
            labels_BC: what the method saw: +1 positive, -1 negative, 0 unobserved, 9 padding, which is not counted.
            truth_BC: +1 positive, -1 negative, anything else unknown, which only num_distrusted counts.
            distrusted_BC: the method's mask; None if it distrusts nothing.
        """
        mask_BC = torch.zeros_like(labels_BC, dtype=torch.bool) if distrusted_BC is None else distrusted_BC
        self._waiting.append((logits_BC, labels_BC, truth_BC, mask_BC))
        if len(self._waiting) * labels_BC.numel() >= ENTRIES_AT_ONCE:
            self._count()

    @torch.no_grad()
    def _count(self) -> None:
        logits_BC, labels_BC, truth_BC, distrusted_BC = map(torch.cat, zip(*self._waiting, strict=True))
        self._waiting.clear()
        true_positive_BC, true_negative_BC, false_negative_BC, known_BC = _groups(labels_BC, truth_BC)
        groups_GBC = torch.stack([true_positive_BC, true_negative_BC, false_negative_BC])
        losses_BC = cross_entropy(logits_BC, true_positive_BC)
        self._losses += losses_BC.where(groups_GBC, 0).sum((1, 2), dtype=torch.float64)

        distrusted_BC = distrusted_BC & (labels_BC != PADDING)
        suspects_GBC = torch.stack([distrusted_BC, distrusted_BC & known_BC, distrusted_BC & false_negative_BC])
        self._counts += torch.cat([groups_GBC, suspects_GBC]).sum((1, 2))

    def result(self) -> Memorization:
        """The epoch over all ranks; each rank must call it, once, and gets the same."""
        if self._waiting:
            self._count()
        losses = self._peers.gather(self._losses[None]).sum(0).tolist()
        counts = self._peers.gather(self._counts[None]).sum(0).tolist()
        return _memorization(losses, counts)


class Groups:
    """Groups of the training labels as masks of floats, so that matrix products sum over a group.

    Attributes:
        sign_NC: float32, 1 for an observed true positive, else -1; an entry's loss is -log sigmoid(sign * logit).
        members_NCG: float32 masks of true positives, true negatives, false negatives, known truth, and all.
        num_G: number of entries of each group.
    """

    def __init__(self, labels_NC: Tensor, truth_NC: Tensor) -> None:
        groups = _groups(labels_NC, truth_NC)
        self.sign_NC = groups[0].float() * 2 - 1
        self.members_NCG = torch.stack([*groups, torch.ones_like(groups[0])], dim=-1).float()
        self.num_G = self.members_NCG.sum((0, 1), dtype=torch.float64).long().tolist()


class MemorizationMeters:
    """The meters of K trials in one process; each trial sees every training image once per epoch.

    Batches are collected and counted several at a time. How many does not depend on the number of trials, since sums of
    floats depend on their order.
    """

    def __init__(self, labellings: Sequence[Groups], which: Sequence[int]) -> None:
        """Start at zero.

        Args:
            labellings: the groups of each different labelling.
            which: of each trial, the index of its labelling.
        """
        self._groups = [labellings[one] for one in which]
        self._sign_LC = torch.cat([one.sign_NC for one in labellings])
        self._members_LCG = torch.cat([one.members_NCG for one in labellings])
        self._waiting: list[tuple[Tensor, Tensor, Sequence[tuple[Tensor | None, int]]]] = []
        self._start()

    def _start(self) -> None:
        device, num_trials = self._sign_LC.device, len(self._groups)
        self._losses_KG = torch.zeros(num_trials, NUM_LOSSES, dtype=torch.float64, device=device)
        self._counts_KG = torch.zeros(num_trials, self._members_LCG.shape[-1], dtype=torch.float64, device=device)

    @torch.no_grad()
    def update(
        self, *, logits_KBC: Tensor, entries_KB: Tensor, distrusted: Sequence[tuple[Tensor | None, int]]
    ) -> None:
        """Count a batch of each trial.

        Args:
            logits_KBC: scores before the sigmoid.
            entries_KB: rows of the images in the labellings, one below the other; (1, B) if all trials share them.
            distrusted: the methods' masks (k, B, C), or None, of so many trials each, in the order of the trials.
        """
        self._waiting.append((logits_KBC, entries_KB, distrusted))
        if len(self._waiting) * logits_KBC[0].numel() >= ENTRIES_OF_A_TRIAL:
            self._count()

    @torch.no_grad()
    def _count(self) -> None:
        logits, entries, distrusted = zip(*self._waiting, strict=True)
        self._waiting.clear()
        logits_KBC, entries_KB = torch.cat(logits, 1), torch.cat(entries, 1)
        sign_KBC, members_KBCG = rows_of(self._sign_LC, entries_KB), rows_of(self._members_LCG, entries_KB)
        members_KEG = members_KBCG.flatten(1, 2)
        losses_KE = -F.logsigmoid(logits_KBC.float() * sign_KBC).flatten(1)
        # Not by a product: how a product adds depends on how many trials there are, and on where they lie in memory.
        groups_KGE = members_KEG[..., :NUM_LOSSES].transpose(1, 2)
        self._losses_KG += (losses_KE[:, None] * groups_KGE).sum(-1)
        start = 0
        for of_kind in zip(*distrusted, strict=True):
            count = of_kind[0][1]
            trials = slice(start, start + count)
            start += count
            if all(mask_kBC is None for mask_kBC, _ in of_kind):
                continue
            masks = [
                torch.zeros_like(logits_BC, dtype=torch.bool) if mask_kBC is None else mask_kBC.view(logits_BC.shape)
                for (mask_kBC, _), logits_BC in zip(of_kind, (one[trials] for one in logits), strict=True)
            ]
            masks_k1E = torch.cat(masks, 1).flatten(1)[:, None].float()
            members = members_KEG if len(members_KEG) == 1 else members_KEG[trials]
            # Sums of ones are exact in any order.
            self._counts_KG[trials] += (masks_k1E @ members)[:, 0]

    def results(self) -> list[Memorization]:
        """The epoch of each trial; the next one starts at zero."""
        if self._waiting:
            self._count()
        results = []
        sums = zip(self._losses_KG.tolist(), self._counts_KG.tolist(), strict=True)
        for groups, (losses, distrusted) in zip(self._groups, sums, strict=True):
            _, _, num_caught, num_known, num_distrusted = map(round, distrusted)
            counts = [*groups.num_G[:NUM_LOSSES], num_distrusted, num_known, num_caught]
            results.append(_memorization(losses, counts))
        self._start()
        return results


def rows_of(table: Tensor, rows_KB: Tensor) -> Tensor:
    """Rows (K, B, ...) of a table."""
    # index_select takes flat indices only; the result is contiguous, so the view is free.
    return table.index_select(0, rows_KB.flatten()).view(*rows_KB.shape, *table.shape[1:])


def _groups(labels: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Masks of true positives, true negatives, false negatives, and entries of known truth."""
    unobserved, truly_positive, truly_negative = labels == UNOBSERVED, truth == POSITIVE, truth == NEGATIVE
    return (
        (labels == POSITIVE) & truly_positive,
        (unobserved | (labels == NEGATIVE)) & truly_negative,
        unobserved & truly_positive,
        truly_positive | truly_negative,
    )


def _memorization(losses: Sequence[float], counts: Sequence[int]) -> Memorization:
    """An epoch's figures.

    Args:
        losses: sums over true positives, true negatives, false negatives.
        counts: of these, and of distrusted labels: all, those of known truth, those that are false negatives.
    """
    num_true_positive, num_true_negative, num_false_negative, num_distrusted, num_known, num_caught = counts
    return Memorization(
        loss_true_positive=_ratio(losses[0], num_true_positive),
        loss_true_negative=_ratio(losses[1], num_true_negative),
        loss_false_negative=_ratio(losses[2], num_false_negative),
        num_distrusted=num_distrusted,
        distrust_precision=_ratio(num_caught, num_known),
        distrust_recall=_ratio(num_caught, num_false_negative),
    )


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None
