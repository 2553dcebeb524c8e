"""The workers of one slot as Ray Train runs them, with as little around them as there can be.

Ray's own `TorchTrainer` brings `TorchConfig`, which imports torch wherever it travels: also into the Tune actor of
every slot, which has no use for it and takes two seconds for it. Here the workers alone do.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ray.train.backend import Backend, BackendConfig
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

LEFT_OUT = (DatasetsCallback, PlacementGroupCleanerCallback)
"""An actor each: for Ray datasets, of which there are none, and for what `lost_room` does."""


class FixedSize(FixedScalingPolicy):  # type: ignore[misc]
    """As many workers as were asked for.

    Ray's own policy first waits for one more actor that tells the cluster's autoscaler of them; `growth` has asked for
    their room already.
    """

    def after_controller_start(self, train_run_context: Any) -> None:
        """Nobody is told."""

    def _maybe_send_resource_request(self) -> None:
        pass


class WorkerGroup(DataParallelTrainer):  # type: ignore[misc]
    """Ray Train's trainer without the actors that a slot has no use for.

    Its controller works in the thread that calls `fit`, which would wait for an actor otherwise.
    """

    def _create_default_callbacks(self) -> list[Any]:
        return [one for one in super()._create_default_callbacks() if not isinstance(one, LEFT_OUT)]

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        controller = TrainController(**settings | {"scaling_policy": FixedSize(self.scaling_config)})
        asyncio.run(controller.run())
        return controller.get_result()


class NoGroupYet(Backend):  # type: ignore[misc]
    """Leaves it to the workers to make their process group."""

    share_cuda_visible_devices = True


class Workers(BackendConfig):  # type: ignore[misc]
    """Workers that make their process group themselves."""

    @property
    def backend_cls(self) -> type[Backend]:
        """What Ray Train does before the workers start."""
        return NoGroupYet
