"""Stacks K methods of one kind into one that takes K batches: few large operations in place of many small ones.

Shapes: K trials, N training images, B images of a batch, C classes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wsml_study.methods.contract import Method
from wsml_study.methods.rates import Schedules


def can_stack(one: Method, other: Method) -> bool:
    """Whether two methods differ only in `stacked_numbers`."""
    if type(one) is not type(other) or one.stacked_numbers is None:
        return False
    return _in_common(one) == _in_common(other)


def stacked(methods: Sequence[Method], *, device: torch.device | str) -> Method:
    """One method for logits and labels (K, B, C), whose losses are (K,).

    The methods' tensors become views of the stack's tensors, so that `state_dict()` and `finish_epoch()` of each method
    work as before. State of N images is concatenated to (K * N, C), so `indices_B` of trial k must be offset by k * N.
    All other state is (K, 1, ...).

    Args:
        methods: any two of which `can_stack`.
        device: of the batches; a method without state is on no device itself.
    """
    stack = copy.deepcopy(methods[0])
    for name in stack.stacked_numbers or ():
        setattr(stack, name, _together([getattr(method, name) for method in methods], device))
    for name, buffer in methods[0].named_buffers():
        tensors = _move([method.get_buffer(name) for method in methods])
        setattr(stack, name, _under_each_other(tensors, buffer))
        for method, tensor in zip(methods, tensors, strict=True):
            setattr(method, name, tensor)
    for name, parameter in methods[0].named_parameters():
        tensors = _move([method.get_parameter(name).detach() for method in methods])
        setattr(stack, name, nn.Parameter(_under_each_other(tensors, parameter)))
        for method, tensor in zip(methods, tensors, strict=True):
            method.get_parameter(name).data = tensor
    return stack


def _in_common(method: Method) -> dict[str, Any]:
    numbers = method.stacked_numbers or ()
    return {name: value for name, value in vars(method).items() if not name.startswith("_") and name not in numbers}


def _together(values: Sequence[Any], device: torch.device | str) -> Any:
    if all(value == values[0] for value in values):
        return values[0]
    if callable(values[0]):
        return Schedules(values)
    return torch.tensor([float(value) for value in values], device=device).view(-1, 1, 1)


def _move(tensors: Sequence[Tensor]) -> Tensor:
    """(K, ...), a copy of the tensors."""
    return torch.stack(list(tensors))


def _under_each_other(tensors_K: Tensor, one: Tensor) -> Tensor:
    """(K * N, C) of state per image, (K, 1, ...) of any other."""
    return tensors_K.flatten(0, 1) if one.ndim > 1 else tensors_K[:, None]
