"""A trial's optimizer: torch's own with its fused kernel, without `torch.compile`.

torch hides parts of its optimizers from the compiler, and imports the compiler to do so: 0.7 to 1.2 s and 110 MiB of
every process that trains, for which nothing is compiled here.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import Optimizer

from wsml_study.study.training_section import Training


class Adam(torch.optim.Adam):
    """As torch's, to the bit."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class Sgd(torch.optim.SGD):
    """As torch's, to the bit."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


for _method in (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict):
    # What torch calls in the method's place; unless it is there, torch asks the compiler for it at the first call.
    _plain = inspect.unwrap(_method)
    _plain.__dict__.setdefault("__dynamo_disable", _plain)


def optimizer_of(training: Training, groups: list[dict[str, Any]]) -> Optimizer:
    """A fresh optimizer.

    Args:
        training: which, with what weight decay and momentum.
        groups: parameters with their learning rates, as `torch.optim` takes them.
    """
    if training.optimizer == "adam":
        return Adam(groups, weight_decay=training.weight_decay, fused=True)
    momentum = 0.9 if training.momentum is None else training.momentum
    return Sgd(groups, momentum=momentum, weight_decay=training.weight_decay, fused=True)
