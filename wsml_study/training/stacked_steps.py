"""The optimizer steps of many trials: torch's own fused kernels, without the Python work of each optimizer around them.

The steps of Adam and SGD are those of `torch.optim` with `fused=True`, on the optimizers' own state, so that an
optimizer's `state_dict()` is the one it would have after as many steps of its own. A fused kernel takes lists of
tensors and updates each element independently, so that parameters of several trials get the same numbers in one call
as in calls of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class FusedSteps:
    """Steps of several optimizers that have made equally many steps; parameters with equal rates share a call."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], gradients: Mapping[int, Tensor]) -> None:
        """Prepare the steps.

        Args:
            optimizers: Adam or SGD.
            gradients: by the id of a parameter, the tensor that holds its gradient at every step.
        """
        # By kind of optimizer and its rates, since a kernel call takes one learning rate for all of its tensors.
        self._groups: dict[tuple[Any, ...], _Adam | _Sgd] = {}
        self._counter: Tensor | None = None
        for optimizer in optimizers:
            kind = _Adam if isinstance(optimizer, torch.optim.Adam) else _Sgd
            for group, parameter in _parameters(optimizer):
                # setdefault builds a group for nothing where there is one already: a few empty lists, once a stack.
                steps = self._groups.setdefault((kind, *kind.rates(group)), kind(group))
                state = optimizer.state[parameter]
                if isinstance(steps, _Adam):
                    state["step"] = self._counter = self._one_counter(parameter, state)
                steps.add(parameter, gradients[id(parameter)], state)

    def _one_counter(self, parameter: Tensor, state: dict[str, Any]) -> Tensor:
        """float32 (): steps so far, one tensor for all parameters of all Adam optimizers.

        torch keeps a counter for each parameter and raises all of them, with one more kernel, at every step. The trials
        have made equally many steps, so one counter serves all; a trial that leaves the stack gets a copy of it.
        """
        if self._counter is not None:
            return self._counter
        first: Tensor = state.get("step", torch.zeros((), device=parameter.device))
        return first

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

    def add(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any]) -> None:
        """Add a parameter, with its part of an optimizer's state, which has its step counter already."""
        if "exp_avg" not in state:  # torch, too, makes the moments at the first step
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        self._steps.append(state["step"])
        self._parameters.append(parameter.data)
        self._gradients.append(gradient)
        self._means.append(state["exp_avg"])
        self._squares.append(state["exp_avg_sq"])

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

    def add(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any]) -> None:
        """Add a parameter, with its part of an optimizer's state."""
        self._parameters.append(parameter.data)
        self._gradients.append(gradient)
        if self._rates[1] > 0:
            # A buffer of zeros instead of torch's `is_first_step`: momentum * 0 + gradient is the gradient, exactly.
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            self._momentum.append(state["momentum_buffer"])

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
