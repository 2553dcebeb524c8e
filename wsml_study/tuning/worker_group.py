"""The workers of one slot as Ray Train runs them, with as little around them as there can be.

Ray's own `TorchTrainer` brings `TorchConfig`, which imports torch wherever it travels: also into the Tune actor and
the controller of every slot, which have no use for it and take two seconds for it each. Here the workers alone do.
"""

from __future__ import annotations

from typing import Any

from ray.train.backend import Backend, BackendConfig
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer


class WorkerGroup(DataParallelTrainer):  # type: ignore[misc]
    """Ray Train's trainer without the actor that hands out Ray datasets, of which there are none."""

    def _create_default_callbacks(self) -> list[Any]:
        return [one for one in super()._create_default_callbacks() if not isinstance(one, DatasetsCallback)]


class NoGroupYet(Backend):  # type: ignore[misc]
    """Leaves it to the workers to make their process group."""

    share_cuda_visible_devices = True


class Workers(BackendConfig):  # type: ignore[misc]
    """Workers that make their process group themselves."""

    @property
    def backend_cls(self) -> type[Backend]:
        """What Ray Train does before the workers start."""
        return NoGroupYet
