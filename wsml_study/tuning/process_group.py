"""The workers of one slot as Ray Train runs them, with as little around them as there can be.

Ray's own `TorchTrainer` brings `TorchConfig`, which imports torch wherever it travels: also into the Tune actor and
the controller of every slot, which have no use for it and take two seconds for it each. Here the workers alone do.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer


class WorkerGroup(DataParallelTrainer):  # type: ignore[misc]
    """Ray Train's trainer without the actor that hands out Ray datasets, of which there are none."""

    def _create_default_callbacks(self) -> list[Any]:
        return [one for one in super()._create_default_callbacks() if not isinstance(one, DatasetsCallback)]


@dataclass(frozen=True)
class ProcessGroupConfig(BackendConfig):  # type: ignore[misc]
    """What the process group of a worker group communicates by.

    Attributes:
        backend: `nccl` on GPUs, `gloo` elsewhere.
    """

    backend: str

    @property
    def backend_cls(self) -> type[Backend]:
        """Who sets it up."""
        return ProcessGroup


class ProcessGroup(Backend):  # type: ignore[misc]
    """A torch process group of all workers; none for a worker that is alone."""

    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: ProcessGroupConfig) -> None:
        """Let the workers find each other at rank 0."""
        size = len(worker_group)
        if size == 1:
            return
        address, port = worker_group.execute_single(0, _meeting_place)
        ray.get(
            [
                worker_group.execute_single_async(
                    rank, _join, backend=backend_config.backend, address=address, port=port, rank=rank, size=size
                )
                for rank in range(size)
            ]
        )

    def on_shutdown(self, worker_group: Any, backend_config: ProcessGroupConfig) -> None:
        """Let them part."""
        if len(worker_group) > 1:
            worker_group.execute(_leave)


def _meeting_place() -> tuple[str, int]:
    """This machine's address and a free port."""
    address = ray.util.get_node_ip_address()
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as free:
        free.bind((address, 0))
        return address, free.getsockname()[1]


def _join(*, backend: str, address: str, port: int, rank: int, size: int) -> None:
    import torch

    if backend == "nccl":
        from ray.train.torch import get_device

        # A rank that hangs in a collective is ended instead of waited for.
        os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1")
        torch.cuda.set_device(get_device())
    host = f"[{address}]" if ":" in address else address
    torch.distributed.init_process_group(backend, init_method=f"tcp://{host}:{port}", rank=rank, world_size=size)


def _leave() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
