"""Training by `torch.compile`: the network's forward and backward pass, and the loss of methods that can be compiled.

Only `training.compile: true` loads torch's compiler, which takes a second and 110 MiB. What it compiles is kept in a
folder that all trials of a machine share, so that the first trial compiles and later ones read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wsml_study.data.stored_file import default_cache_dir
from wsml_study.errors import TrainingError

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Where torch's compiler keeps what it has compiled; a user's own value is left as it is."""

MOST_TRIALS = 100
"""Trials that share the compiled code of a process. CUDA graphs are recorded anew for each trial's weights, which torch
does 128 times at most."""


@dataclass
class _Held:
    """What the code that this process holds was compiled for, and how many trials have used it."""

    identity: str = ""
    num_trials: int = 0

    def take(self, identity: str) -> None:
        """Count a trial; forget the code if it is another network's: torch does not notice every difference."""
        if identity != self.identity or self.num_trials == MOST_TRIALS:
            torch._dynamo.reset()
            self.identity, self.num_trials = identity, 0
        self.num_trials += 1


_held = _Held()


class Compiler:
    """Compiles the functions of one trial, each for the shape of the first batch that it gets."""

    def __init__(self, identity: str) -> None:
        """Prepare to compile; nothing is compiled before the first batch.

        Args:
            identity: of the network and its inputs; trials with the same one share compiled code.

        Raises:
            TrainingError: torch cannot compile on this version of Python.
        """
        # Before the import, in which torch sets the variable to a folder in /tmp.
        os.environ.setdefault(CACHE_VARIABLE, str(default_cache_dir() / "compiled"))
        from torch._dynamo.eval_frame import is_dynamo_supported

        if not is_dynamo_supported():
            raise TrainingError("training.compile: torch cannot compile on this version of Python; leave the key out")
        _held.take(identity)
        # Versions of one function, such as a loss with other rates; from there on torch would not compile, silently.
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, MOST_TRIALS)

    def compiled(self, function: Callable[..., Any], *, cuda_graphs: bool = False) -> Callable[..., Any]:
        """The function, compiled when it is first called.

        Args:
            function: its first argument has to be a tensor.
            cuda_graphs: record it as CUDA graphs, whose outputs hold until the next call. Only for a GPU.
        """
        # Random numbers are those of torch without the compiler: dropout has the same masks.
        options: dict[str, str | int | bool | Callable[..., Any]] = {"fallback_random": True}
        if cuda_graphs:
            options["triton.cudagraphs"] = True
        # Shapes are constants of the code. Torch would otherwise compile for any shape once it has seen two.
        return CompiledForShape(function, torch.compile(function, dynamic=False, options=options))


class CompiledForShape:
    """Calls the compiled function where the first argument is shaped as in the first call, and the plain one elsewhere.

    The last batch of an epoch is often smaller; compiling for it would take as long as for all others.
    """

    def __init__(self, plain: Callable[..., Any], compiled: Callable[..., Any]) -> None:
        self._plain, self._compiled = plain, compiled
        self._shape: torch.Size | None = None

    def __call__(self, batch: Tensor, *further: Any, **keywords: Any) -> Any:
        """The function's result.

        Raises:
            TrainingError: torch's compiler failed.
        """
        if self._shape is None:
            self._shape = batch.shape
        if batch.shape != self._shape:
            return self._plain(batch, *further, **keywords)
        try:
            return self._compiled(batch, *further, **keywords)
        except RuntimeError as error:
            if not isinstance(error, torch._dynamo.exc.TorchDynamoException):
                raise
            raise TrainingError(f"training.compile: {_reason(error)}; {_remedy(error)}") from error


class CompiledNetwork(nn.Module):
    """A network whose forward pass, and with it the backward pass, is compiled. Its weights are the network's own."""

    def __init__(self, network: nn.Module, compiler: Compiler, *, cuda_graphs: bool) -> None:
        super().__init__()
        self.network = network
        self._cuda_graphs = cuda_graphs
        self._compiled = compiler.compiled(network, cuda_graphs=cuda_graphs)

    def forward(self, inputs: Tensor) -> Tensor:
        """As the network's."""
        outputs: Tensor = self._compiled(inputs)
        # The next batch's graph writes where this one's outputs lie, and methods may keep what they were given.
        return outputs.clone() if self._cuda_graphs else outputs


def _reason(error: RuntimeError) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _remedy(error: RuntimeError) -> str:
    if "compiler" in str(error).lower():
        return "install a C++ compiler (`apt install g++`, or set CXX), or leave the key out"
    return "leave the key out"
