"""Ray Train's worker group of one slot, without the helper actors that a slot does not use.

Ray's own `TorchTrainer` carries a `TorchConfig`, which imports torch in every process that unpickles it. In the Tune
actor of a slot that costs two seconds for nothing. `SlotBackendConfig` imports torch only in the workers.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ray.train.backend import Backend, BackendConfig

from wsml_study.cluster.ray_internals import (
    DataParallelTrainer,
    DatasetsCallback,
    FixedScalingPolicy,
    PlacementGroupCleanerCallback,
    TrainController,
)

LEFT_OUT = (DatasetsCallback, PlacementGroupCleanerCallback)
"""Callbacks that start an actor each: Ray datasets are not used, and leaked placement groups are removed by
`cluster/leaked_placement_groups.py`."""


class FixedSize(FixedScalingPolicy):  # type: ignore[misc]
    """A fixed number of workers, without a request to Ray's AutoscalingCoordinator.

    Ray's own policy starts a coordinator actor first and waits for it. `cluster/autoscaling.py` has requested the
    capacity already.
    """

    def after_controller_start(self, train_run_context: Any) -> None:
        """No-op: skips Ray's AutoscalingCoordinator; cluster/autoscaling.py requests capacity."""

    def _maybe_send_resource_request(self) -> None:
        pass


class WorkerGroup(DataParallelTrainer):  # type: ignore[misc]
    """Ray Train's data-parallel trainer without helper actors.

    The controller runs in the thread that calls `fit`; Ray's own trainer starts an actor for it.
    """

    def _create_default_callbacks(self) -> list[Any]:
        return [one for one in super()._create_default_callbacks() if not isinstance(one, LEFT_OUT)]

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        controller = TrainController(**settings | {"scaling_policy": FixedSize(self.scaling_config)})
        asyncio.run(controller.run())
        return controller.get_result()


class SlotBackend(Backend):  # type: ignore[misc]
    """Sets up nothing: the workers create their process group themselves, see `process_group.py`."""

    share_cuda_visible_devices = True


class SlotBackendConfig(BackendConfig):  # type: ignore[misc]
    """Config of `SlotBackend`; unpickling it does not import torch."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The backend class that Ray Train instantiates."""
        return SlotBackend
