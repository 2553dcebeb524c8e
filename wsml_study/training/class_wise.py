"""Category-wise fine-tuning: at the end of a trial, each class's row of the head is fitted again on its own.

The network is that of the best epoch and stays as it is. An epoch is one step of Adam on all training images at once,
of the asymmetric loss of the labels that are known of a class, and of each class the row of best validation AP is kept.
As the classes share no number, one optimizer fits all rows at once.

Source: "Category-wise Fine-Tuning", ICONIP 2023 (arXiv 2401.16991); maxium0526/category-wise-fine-tuning, its fitting
by gradients with the asymmetric loss (the genetic algorithm that it has beside it is not here).

Shapes: N training images, B of a batch, M validation images, C classes, D features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from wsml_study.methods.asymmetric import AsymmetricLoss
from wsml_study.methods.contract import NEGATIVE, PADDING, POSITIVE, UNOBSERVED, Batch, Method, Outcome

LEARNING_RATE = 1e-4
"""Of Adam, as in the source."""


class KnownLabels(Method):
    """ASL (0, 4, margin .05, sum) on the known labels of classes of which positives and negatives are known.

    Unobserved labels are left out, or negatives if they are said to be.
    """

    taught_C: Tensor

    def __init__(self, labels_NC: Tensor, *, unobserved_are_negative: bool) -> None:
        """Find the classes that can be fitted.

        Args:
            labels_NC: observed states of all training images.
            unobserved_are_negative: otherwise they are left out.
        """
        super().__init__(labels_NC)
        self._state_of_unobserved = NEGATIVE if unobserved_are_negative else PADDING
        known_NC = labels_NC.masked_fill(labels_NC == UNOBSERVED, self._state_of_unobserved)
        taught_C = (known_NC == POSITIVE).any(0) & (known_NC == NEGATIVE).any(0)
        self.register_buffer("taught_C", taught_C, persistent=False)
        self._loss = AsymmetricLoss(
            labels_NC,
            gamma_positive=0.0,
            gamma_negative=4.0,
            probability_margin=0.05,
            focus_gradients="stopped",
            reduction="sum",
        )

    def forward(self, batch: Batch) -> Outcome:
        """The summed loss; no state."""
        labels_BC = batch.labels_BC.masked_fill(batch.labels_BC == UNOBSERVED, self._state_of_unobserved)
        labels_BC = labels_BC.masked_fill(~self.taught_C, PADDING)
        outcome: Outcome = self._loss(replace(batch, labels_BC=labels_BC))
        return outcome


class BestRows:
    """Of each class the row of a head that had the best validation AP, and that AP."""

    def __init__(self, head: nn.Linear) -> None:
        """Take the head's rows as they are, of no AP yet."""
        self._head = head
        self._weight_CD, self._bias_C = head.weight.detach().clone(), head.bias.detach().clone()
        self._ap_C = torch.full_like(self._bias_C, -math.inf, dtype=torch.float64)

    @property
    def is_unjudged(self) -> bool:
        """Whether no row has an AP yet."""
        return bool((self._ap_C == -math.inf).all())

    @torch.no_grad()
    def keep(self, ap_C: Sequence[float | None]) -> None:
        """Take the rows that the head has now, of each class whose AP is larger than that of the row before.

        Args:
            ap_C: validation AP of these rows; None of classes that are not judged, whose rows stay.
        """
        given_C = torch.tensor([-math.inf if ap is None else ap for ap in ap_C], dtype=torch.float64)
        better_C = given_C.to(self._ap_C.device) > self._ap_C
        self._ap_C = torch.where(better_C, given_C.to(self._ap_C.device), self._ap_C)
        self._bias_C = torch.where(better_C, self._head.bias, self._bias_C)
        self._weight_CD = torch.where(better_C[:, None], self._head.weight, self._weight_CD)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The head has the best rows within, and its own afterwards."""
        own = [one.detach().clone() for one in (self._head.weight, self._head.bias)]
        self._put(self._weight_CD, self._bias_C)
        try:
            yield
        finally:
            self._put(*own)

    @torch.no_grad()
    def _put(self, weight_CD: Tensor, bias_C: Tensor) -> None:
        self._head.weight.copy_(weight_CD)
        self._head.bias.copy_(bias_C)

    def state_dict(self) -> dict[str, Tensor]:
        """The rows and their AP."""
        return {"weight_CD": self._weight_CD, "bias_C": self._bias_C, "ap_C": self._ap_C}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict()` was taken."""
        self._weight_CD, self._bias_C, self._ap_C = (state[name] for name in ("weight_CD", "bias_C", "ap_C"))
