"""The optimizer steps of many trials: torch's own fused kernels, without what an optimizer does around each.

The steps of Adam and SGD are those of `torch.optim` with `fused=True`, on the optimizers' own state, so that what an
optimizer saves is what it would have saved after as many steps of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class FusedSteps:
    """Steps of optimizers of one class that have made equally many; parameters of equal rates step together."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], gradients: Mapping[int, Tensor]) -> None:
        """Prepare the steps.

        Args:
            optimizers: Adam or SGD.
            gradients: of each parameter, by its id: where the gradient is found at every step.
        """
        self._groups: dict[tuple[Any, ...], _Adam | _Sgd] = {}
        self._counter: Tensor | None = None
        for optimizer in optimizers:
            kind = _Adam if isinstance(optimizer, torch.optim.Adam) else _Sgd
            for group, parameter in _parameters(optimizer):
                steps = self._groups.setdefault((kind, *kind.rates(group)), kind(group))
                state = optimizer.state[parameter]
                if isinstance(steps, _Adam):
                    state["step"] = self._counter = self._one_counter(parameter, state)
                steps.add(parameter, gradients[id(parameter)], state)

    def _one_counter(self, parameter: Tensor, state: dict[str, Any]) -> Tensor:
        """float32 (): steps so far, which all parameters share while they step together."""
        if self._counter is not None:
            return self._counter
        first: Tensor = state.get("step", torch.zeros((), device=parameter.device))
        return first

    @torch.no_grad()
    def step(self) -> None:
        """One step of every optimizer."""
        if self._counter is not None:
            self._counter += 1
        for steps in self._groups.values():
            steps.step()


def _parameters(optimizer: torch.optim.Optimizer) -> Iterator[tuple[dict[str, Any], Tensor]]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield group, parameter


class _Adam:
    """Parameters of one learning rate and weight decay."""

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
        """One more parameter, with its part of an optimizer's state, which has the counter of its steps already."""
        if "exp_avg" not in state:
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
    """Parameters of one learning rate, momentum and weight decay."""

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
        """One more parameter, with its part of an optimizer's state."""
        self._parameters.append(parameter.data)
        self._gradients.append(gradient)
        if self._rates[1] > 0:
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
