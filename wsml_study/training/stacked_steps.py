"""The optimizer steps of many trials: torch's own fused kernels, without the Python work of each optimizer around them.

The steps of Adam and SGD are those of `torch.optim` with `fused=True`, on the optimizers' own state, so that an
optimizer's `state_dict()` is the one it would have after as many steps of its own. A fused kernel updates each element
independently, so that parameters of several trials get the same numbers in one call as in calls of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

IN_A_REGISTER = 16
"""Entries, float32, of a processor's largest registers."""


@dataclass(frozen=True, kw_only=True)
class Stacked:
    """Parameters of several trials that lie one behind the other in one tensor.

    Attributes:
        parameters: of each trial; views of `values` in this order.
        values: contiguous, (K, ...) for K parameters.
        gradient: the tensor, of the same shape, that holds their gradients at every step.
    """

    parameters: Sequence[Tensor]
    values: Tensor
    gradient: Tensor


class FusedSteps:
    """Steps of several optimizers that have made equally many steps.

    Neighbours in a stack with equal rates share a call of a kernel, and count as one tensor in it where that changes no
    number: a call for each trial's own small tensors would cost as much as the arithmetic.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], stacks: Sequence[Stacked]) -> None:
        """Prepare the steps.

        Args:
            optimizers: Adam or SGD.
            stacks: all of their parameters.
        """
        # By kind of optimizer and its rates, since a kernel call takes one learning rate for all of its tensors.
        self._groups: dict[tuple[Any, ...], _Adam | _Sgd] = {}
        self._counter: Tensor | None = None
        owners = {id(parameter): (one, group) for one in optimizers for group, parameter in _parameters(one)}
        for stack in stacks:
            states = [owners[id(one)][0].state[one] for one in stack.parameters]
            groups = [owners[id(one)][1] for one in stack.parameters]
            kinds = [_Adam if isinstance(owners[id(one)][0], torch.optim.Adam) else _Sgd for one in stack.parameters]
            keys = [(kind, *kind.rates(group)) for kind, group in zip(kinds, groups, strict=True)]
            for trials in _runs_of_equals(keys):
                kind, group = kinds[trials.start], groups[trials.start]
                if kind is _Adam:
                    self._count_together(stack.parameters[trials], states[trials])
                steps = self._groups.setdefault(keys[trials.start], kind(group))
                steps.add(stack.values[trials], stack.gradient[trials], states[trials])

    def _count_together(self, parameters: Sequence[Tensor], states: Sequence[dict[str, Any]]) -> None:
        """Give the parameters one tensor, float32 (), for the number of steps so far.

        torch keeps a counter for each parameter and raises all of them, with one more kernel, at every step. The trials
        have made equally many steps, so one counter serves all; a trial that leaves the stack gets a copy of it.
        """
        for parameter, state in zip(parameters, states, strict=True):
            if self._counter is None:
                self._counter = state.get("step", torch.zeros((), device=parameter.device))
            state["step"] = self._counter

    @torch.no_grad()
    def step(self) -> None:
        """One step of every optimizer."""
        # Adam's kernel corrects the bias of its moments by the number of this step: count first.
        if self._counter is not None:
            self._counter += 1
        for steps in self._groups.values():
            steps.step()


def _parameters(optimizer: torch.optim.Optimizer) -> Iterator[tuple[dict[str, Any], Tensor]]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield group, parameter


def _runs_of_equals(keys: Sequence[Any]) -> Iterator[slice]:
    """Slices of neighbours with equal keys."""
    start = 0
    for _, run in itertools.groupby(keys):
        end = start + len(list(run))
        yield slice(start, end)
        start = end


def _stacked_state(states: Sequence[dict[str, Any]], name: str, values_K: Tensor) -> Tensor:
    """A part of the optimizers' state as one tensor like the parameters; the states become views of it.

    It is zero where a state has none yet, as torch's is at the first step.
    """
    stacked_K = torch.zeros_like(values_K)
    for state, part in zip(states, stacked_K, strict=True):
        if state.get(name) is not None:
            part.copy_(state[name])
        state[name] = part
    return stacked_K


def _pieces(values_K: Tensor) -> list[Tensor]:
    """The tensors of a kernel call: one of all trials, or one for each of them.

    Kernels round the last entries of a tensor, those that fill no register, in another way than those before: one
    tensor of all trials gives a trial the numbers that it has on its own only if no trial has such entries.
    """
    return [values_K] if values_K[0].numel() % IN_A_REGISTER == 0 else list(values_K.unbind())


class _Adam:
    """Parameters with one set of Adam's rates."""

    def __init__(self, group: dict[str, Any]) -> None:
        self._rates = self.rates(group)
        self._parameters: list[Tensor] = []
        self._gradients: list[Tensor] = []
        self._means: list[Tensor] = []
        self._squares: list[Tensor] = []
        self._steps: list[Tensor] = []

    @staticmethod
    def rates(group: dict[str, Any]) -> tuple[float, ...]:
        """Learning rate, the two betas, weight decay, epsilon."""
        return (group["lr"], *group["betas"], group["weight_decay"], group["eps"])

    def add(self, values_K: Tensor, gradient_K: Tensor, states: Sequence[dict[str, Any]]) -> None:
        """Add parameters of several trials, with their optimizers' states, which have their step counter already."""
        parameters = _pieces(values_K)
        self._steps += [states[0]["step"]] * len(parameters)
        self._parameters += parameters
        self._gradients += _pieces(gradient_K)
        self._means += _pieces(_stacked_state(states, "exp_avg", values_K))
        self._squares += _pieces(_stacked_state(states, "exp_avg_sq", values_K))

    def step(self) -> None:
        """One step of all of them."""
        learning_rate, beta1, beta2, weight_decay, eps = self._rates
        torch._fused_adam_(
            self._parameters,
            self._gradients,
            self._means,
            self._squares,
            [],
            self._steps,
            lr=learning_rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=weight_decay,
            eps=eps,
            amsgrad=False,
            maximize=False,
        )


class _Sgd:
    """Parameters with one set of SGD's rates."""

    def __init__(self, group: dict[str, Any]) -> None:
        self._rates = self.rates(group)
        self._parameters: list[Tensor] = []
        self._gradients: list[Tensor] = []
        self._momentum: list[Tensor] = []

    @staticmethod
    def rates(group: dict[str, Any]) -> tuple[float, ...]:
        """Learning rate, momentum, weight decay."""
        return (group["lr"], group["momentum"], group["weight_decay"])

    def add(self, values_K: Tensor, gradient_K: Tensor, states: Sequence[dict[str, Any]]) -> None:
        """Add parameters of several trials, with their optimizers' states."""
        self._parameters += _pieces(values_K)
        self._gradients += _pieces(gradient_K)
        if self._rates[1] > 0:
            # A buffer of zeros instead of torch's `is_first_step`: momentum * 0 + gradient is the gradient, exactly.
            self._momentum += _pieces(_stacked_state(states, "momentum_buffer", values_K))

    def step(self) -> None:
        """One step of all of them."""
        learning_rate, momentum, weight_decay = self._rates
        torch._fused_sgd_(
            self._parameters,
            self._gradients,
            self._momentum,
            lr=learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )
