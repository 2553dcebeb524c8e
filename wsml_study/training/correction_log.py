"""Labels that a trial's method has corrected for good, each with the epoch in which that happened.

Shapes: N training images, C classes, K corrected labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wsml_study.training.trial_data import LabelledImages

UNKNOWN_EPOCH = 0
"""Of labels that were corrected before a checkpoint of an earlier version, which did not note the epoch."""


class Corrections:
    """The corrected labels as places in the label matrix (row * C + column), sorted, and the epoch of each.

    Only these are kept, not a matrix of epochs: with thousands of classes almost no label is ever corrected.
    """

    def __init__(self) -> None:
        self._place_K: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._epoch_K: npt.NDArray[np.int32] = np.zeros(0, dtype=np.int32)

    def note(self, corrected_NC: Tensor | None, epoch: int) -> None:
        """Add what is new after an epoch, and drop what is corrected no longer, as where a phase begins anew.

        Args:
            corrected_NC: bool, all labels that are corrected now; None of a method that never corrects for good.
            epoch: of the trial, from 1.
        """
        if corrected_NC is None:
            return
        place_K = corrected_NC.flatten().nonzero().squeeze(1).cpu().numpy()
        epoch_K = np.full(len(place_K), epoch, dtype=np.int32)
        _, now, before = np.intersect1d(place_K, self._place_K, assume_unique=True, return_indices=True)
        epoch_K[now] = self._epoch_K[before]
        self._place_K, self._epoch_K = place_K, epoch_K

    def columns(self, train: LabelledImages, classes: Sequence[str]) -> dict[str, list[Any]]:
        """The labels as columns of a table, by epoch and then in the order of the images.

        Args:
            train: the images that the method learns from.
            classes: C names.

        Returns:
            image and class by name; epoch, from 1, None where it is unknown; right, whether the image shows the class,
            None where the dataset does not say.
        """
        order_K = np.argsort(self._epoch_K, kind="stable")
        row_K, column_K = np.divmod(self._place_K[order_K], len(classes))
        truth_K = train.truth_MC[row_K, column_K]
        return {
            "image": [train.names_N[row] for row in train.rows_M[row_K]],
            "class": [classes[column] for column in column_K],
            "epoch": [None if epoch == UNKNOWN_EPOCH else epoch for epoch in self._epoch_K[order_K].tolist()],
            "right": [None if truth == 0 else truth > 0 for truth in truth_K.tolist()],
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Part of a trial's state."""
        return {"place_K": torch.from_numpy(self._place_K), "epoch_K": torch.from_numpy(self._epoch_K)}

    def load_state_dict(self, state: Mapping[str, Tensor] | None, corrected_NC: Tensor | None) -> None:
        """Go on from where `state_dict()` was taken; without a state, of an earlier version, the epochs are unknown."""
        if state is None:
            self.note(corrected_NC, UNKNOWN_EPOCH)
            return
        self._place_K, self._epoch_K = (state[name].cpu().numpy() for name in ("place_K", "epoch_K"))
