"""A stack of methods keeps to the device of its batches. The meta device stands for a GPU: shapes without values."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.methods.cases import create
from wsml_study.methods.catalogue import METHODS
from wsml_study.methods.contract import Batch
from wsml_study.methods.stacking import can_stack, stacked

K, N, B, C = 2, 24, 8, 5
DIFFERENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "WAN": ({"negative_weight": 0.3}, {"negative_weight": 0.7}),
    "LSAN": ({"smoothing": 0.05}, {"smoothing": 0.2}),
    "ASL": ({"gamma_negative": 3.0}, {"gamma_negative": 1.0, "gamma_positive": 0.5}),
    "Hill": ({"gamma": 1.0}, {"gamma": 2.0, "hill_lambda": 1.7}),
    "SPLC": ({"positive_threshold": 0.55}, {"positive_threshold": 0.5}),
    "EM": ({"entropy_weight": 0.1}, {"entropy_weight": 0.3}),
    "EM+APL": ({"entropy_weight": 0.1}, {"entropy_weight": 0.2}),
    "CRISP": ({"prior_tolerance": 0.1}, {"warmup_epochs": 2}),
    "VLPL": ({"entropy_weight": 0.1}, {"given_positive_weight": 0.3, "score_threshold": 0.5}),
    "GPR": ({"penalty_weight": 0.1}, {"given_softness": 0.8}),
    "MIME": ({"positive_threshold": 0.8}, {"warmup_epochs": 3}),
    "PU-MLC": ({"pu_rebalance": 0.1}, {"pu_temperature": 0.5}),
    "ROLE": ({"estimate_learning_rate_multiplier": 5.0}, {"estimate_learning_rate_multiplier": 20.0}),
}
"""Methods whose own numbers are stacked, with numbers that differ."""


@pytest.mark.parametrize("name", DIFFERENT)
def test_numbers_of_a_stack_are_on_the_device_of_its_batches(name: str) -> None:
    labels_NC = torch.zeros(N, C, dtype=torch.int8)
    labels_NC[:, 0] = 1
    methods = [create(name, labels_NC, **numbers).to("meta") for numbers in DIFFERENT[name]]
    assert can_stack(*methods)
    batch = Batch(
        logits_BC=torch.zeros(K, B, C, device="meta"),
        labels_BC=torch.zeros(K, B, C, dtype=torch.int8, device="meta"),
        indices_B=torch.zeros(K, B, dtype=torch.int64, device="meta"),
        epoch=3,
        epochs=10,
        num_images=B,
    )
    loss_K = stacked(methods, device="meta")(batch).loss
    assert (loss_K.shape, loss_K.device.type) == ((K,), "meta")


def test_every_method_with_numbers_of_its_own_to_stack_is_looked_at() -> None:
    labels_NC = torch.ones(N, C, dtype=torch.int8)
    labels_NC[:, 0] = -1  # IU needs a negative
    numbers = {name: set(create(name, labels_NC).stacked_numbers or ()) - {"schedule"} for name in METHODS}
    assert {name for name, own in numbers.items() if own} == set(DIFFERENT)
