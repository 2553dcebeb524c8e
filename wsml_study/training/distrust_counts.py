"""Counts for each training label the epochs in which a method distrusted it, where not all true labels are known.

Shapes: N training images, C classes, B images of a batch, E of an epoch's batches, K trials, R = K * N rows, L labels
that were ever distrusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from wsml_study.data.label_states import UNOBSERVED
from wsml_study.methods.catalogue import describe
from wsml_study.study.spec import TrialConfig
from wsml_study.training.trial_data import LabelledImages

MOST_LABELS = 2**28
"""Labels of a training set, images times classes, above which nothing is counted; each takes up to 4 bytes."""


def counts_distrust(config: TrialConfig, train: LabelledImages) -> bool:
    """Whether a trial keeps these counts.

    Where the truth about every label is known, precision and recall of the distrusted labels say more. Methods that
    correct labels for good keep which and when. Labels of mixed images (`training.mixup`) belong to no single image.

    Args:
        config: of the trial.
        train: the training images.
    """
    mixes = config.training.mixup not in (None, "none")
    if mixes or describe(config.method.name.value).corrects_for_good or train.observed_MC.size > MOST_LABELS:
        return False
    return bool(((train.observed_MC == UNOBSERVED) & (train.truth_MC == 0)).any())


class EpochDistrust:
    """The labels that methods distrusted in one epoch, of the images of one trial or of K of them; on the device."""

    def __init__(self, num_rows: int, num_classes: int) -> None:
        """Nothing yet.

        Args:
            num_rows: N, or R.
            num_classes: C.
        """
        self._shape = num_rows, num_classes
        self._waiting: list[tuple[Tensor, Tensor]] = []

    def add(self, rows_B: Tensor, distrusted_BC: Tensor | None) -> None:
        """Add a batch, whose masks are put in place when the epoch ends: once, not in each of many short steps."""
        if distrusted_BC is not None:
            self._waiting.append((rows_B, distrusted_BC))

    def take(self) -> Tensor | None:
        """The mask (R, C) of what was distrusted in this epoch; None if no method chose labels. Begins a new epoch.

        An image may be in an epoch more than once; then one time counts.
        """
        if not self._waiting:
            return None
        rows_E, distrusted_EC = map(torch.cat, zip(*self._waiting, strict=True))
        self._waiting = []
        mask_RC = torch.zeros(self._shape, dtype=torch.bool, device=distrusted_EC.device)
        entry, column = distrusted_EC.nonzero(as_tuple=True)
        mask_RC[rows_E[entry], column] = True
        return mask_RC


class DistrustCounts:
    """In how many epochs so far each label was distrusted.

    Attributes:
        num_epochs: epochs that are counted.
        counts_NC: in how many of them; None before the first.
    """

    def __init__(self) -> None:
        self.num_epochs = 0
        self.counts_NC: Tensor | None = None

    def note(self, distrusted_NC: Tensor | None) -> None:
        """Count an epoch.

        Args:
            distrusted_NC: mask of what was distrusted in it; None if the method chose no labels.
        """
        if distrusted_NC is None:
            return
        if self.counts_NC is None:
            self.counts_NC = torch.zeros(distrusted_NC.shape, dtype=torch.int16, device=distrusted_NC.device)
        self.counts_NC += distrusted_NC
        self.num_epochs += 1

    def columns(self, train: LabelledImages, classes: Sequence[str]) -> dict[str, list[Any]] | None:
        """The labels that were ever distrusted, as columns of a table, in the order of the images.

        Args:
            train: the images that the method learns from.
            classes: C names.

        Returns:
            image and class by name; epochs, in how many it was distrusted; of, how many were counted. None if the
            method never chose labels.
        """
        if self.counts_NC is None:
            return None
        row_L, column_L = (index.cpu().numpy() for index in self.counts_NC.nonzero(as_tuple=True))
        return {
            "image": [train.names_N[row] for row in train.rows_M[row_L]],
            "class": [classes[column] for column in column_L],
            "epochs": self.counts_NC[row_L, column_L].tolist(),
            "of": [self.num_epochs] * len(row_L),
        }

    def state_dict(self) -> dict[str, Any] | None:
        """Part of a trial's state: only labels that were ever distrusted; None without any count."""
        if self.counts_NC is None:
            return None
        place_L = self.counts_NC.flatten().nonzero().squeeze(1)
        return {
            "place_L": place_L.to(torch.int64).cpu(),
            "count_L": self.counts_NC.flatten()[place_L].cpu(),
            "num_epochs": self.num_epochs,
        }

    def load_state_dict(self, state: Mapping[str, Any] | None, shape: tuple[int, ...], device: torch.device) -> None:
        """Go on from where `state_dict()` was taken; checkpoints of earlier versions have no such state."""
        self.counts_NC, self.num_epochs = None, 0
        if state is not None:
            counts_NC = torch.zeros(shape, dtype=torch.int16, device=device)
            counts_NC.view(-1)[state["place_L"].to(device)] = state["count_L"].to(device)
            self.counts_NC, self.num_epochs = counts_NC, state["num_epochs"]
