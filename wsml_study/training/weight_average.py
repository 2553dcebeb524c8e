"""An exponential moving average of a network's weights, kept beside them and put in their place to be evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """After each step a = decay * a + (1 - decay) * w, for parameters and running statistics; counters are copied.

    Begins as a copy of the weights, as in the code of Ridnik et al., ICCV 2021 (ASL), whose average begins so.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Copy the weights of a network, whose tensors stay the same objects from here on."""
        self._decay = decay
        named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        self._names = list(named)
        self._weights = [tensor.detach() for tensor in named.values()]
        self._averages = [tensor.clone() for tensor in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights after a step into the average."""
        pairs = list(zip(self._averages, self._weights, strict=True))
        moving = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([one for one, _ in moving], [weight for _, weight in moving], 1 - self._decay)
        for average, weight in pairs:
            if not average.is_floating_point():
                average.copy_(weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the averaged weights within, and its own afterwards."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for average, weight in zip(self._averages, self._weights, strict=True):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by the names of the weights."""
        return dict(zip(self._names, self._averages, strict=True))

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from where `state_dict()` was taken."""
        for name, average in zip(self._names, self._averages, strict=True):
            average.copy_(state[name])
