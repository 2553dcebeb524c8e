"""A trial's optimizer: torch's own with its fused kernel, without importing `torch.compile`'s compiler.

torch wraps methods of its optimizers in `torch._disable_dynamo`, which hides them from the compiler, and which imports
the compiler (torch._dynamo) at the first call: 0.7 to 1.2 s and 110 MiB in every process that trains. Steps are never
compiled, not by `training.compile` either, so the plain methods underneath are called; tests compare them with torch's
to the bit.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import Optimizer

from wsml_study.study.training_section import Training


class Adam(torch.optim.Adam):
    """As torch's, to the bit."""

    # `unwrap` takes off all of torch's decorators; `no_grad` is the one that a step needs.
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class AdamW(torch.optim.AdamW):
    """As torch's, to the bit."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class Sgd(torch.optim.SGD):
    """As torch's, to the bit."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


for _method in (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict):
    # torch calls what this attribute of the method holds; if it is absent, torch imports the compiler to make it. The
    # attribute is private to torch: should a release rename it, only time is lost.
    _plain = inspect.unwrap(_method)
    _plain.__dict__.setdefault("__dynamo_disable", _plain)


def optimizer_of(training: Training, groups: list[dict[str, Any]]) -> Optimizer:
    """A fresh optimizer.

    Args:
        training: which, with what weight decay and momentum.
        groups: parameters with their learning rates, as `torch.optim` takes them.
    """
    if training.decays_weights_only:
        groups = [part for group in groups for part in _by_decay(group)]
    if training.schedules_rates:
        groups = [{**group, "initial_lr": group["lr"]} for group in groups]
    if training.optimizer == "adamw":
        return AdamW(groups, weight_decay=training.weight_decay, fused=True)
    if training.optimizer == "adam":
        return Adam(groups, weight_decay=training.weight_decay, fused=True)
    momentum = 0.9 if training.momentum is None else training.momentum
    return Sgd(groups, momentum=momentum, weight_decay=training.weight_decay, fused=True)


def _by_decay(group: dict[str, Any]) -> list[dict[str, Any]]:
    """A group in two: matrices and filters, and what does not decay: normalizations and biases, which are vectors."""
    weights = [one for one in group["params"] if one.ndim > 1]
    vectors = [one for one in group["params"] if one.ndim <= 1]
    parts = ({**group, "params": weights}, {**group, "params": vectors, "weight_decay": 0.0})
    return [part for part in parts if part["params"]]
