"""The worker group of a slot on Ray Train, without the helper actors that a slot does not use.

Ray's own `TorchTrainer` carries a `TorchConfig`, which imports torch in every process that unpickles it. In the Tune
actor of a slot that costs two seconds for nothing. `SlotBackendConfig` imports torch only in the workers.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import Any

from ray import train
from ray.train.backend import Backend, BackendConfig

from wsml_study.cluster.ray_internals import (
    DataParallelTrainer,
    DatasetsCallback,
    FixedScalingPolicy,
    PlacementGroupCleanerCallback,
    TrainController,
)
from wsml_study.workers.mailbox import RayMailbox
from wsml_study.workers.protocol import GroupCrashed, OutOfMemory
from wsml_study.workers.slot import WorkerSettings
from wsml_study.workers.worker_process import LoopSettings, serve_rank

KILLED_FOR_MEMORY = "running low on memory"
"""Ray's words when it kills a worker because the machine's memory is nearly full."""

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


class SlotTrainer(DataParallelTrainer):  # type: ignore[misc]
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


class RayTrainGroup:
    """A worker group on Ray Train; its controller runs in a thread of this process.

    Attributes:
        mailbox: carries commands to the workers.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        """Start the mailbox and the group, without waiting for them."""
        self.mailbox = RayMailbox.start(settings.num_workers)
        # A daemon: a group that hangs must not keep the Tune actor's process alive.
        self._thread = threading.Thread(target=_run_group, args=(settings, self.mailbox), daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the group to end, as long as this."""
        self._thread.join(timeout_s)


def _run_group(settings: WorkerSettings, mailbox: RayMailbox) -> None:
    try:
        _trainer(settings, mailbox).fit()
    except Exception as error:
        mailbox.reply(reply_to_crash(error))


def reply_to_crash(error: Exception) -> OutOfMemory | GroupCrashed:
    """What the slot is told of the error that ended its worker group."""
    if KILLED_FOR_MEMORY in str(error):
        return OutOfMemory(error="Ray ended a worker as its machine ran low on memory")
    return GroupCrashed(error=f"{type(error).__name__}: {error}")


def _trainer(settings: WorkerSettings, mailbox: RayMailbox) -> SlotTrainer:
    on_gpu = settings.gpus_per_worker > 0
    resources = {"CPU": float(settings.cpus_per_worker)}
    loop_settings = LoopSettings(
        mailbox=mailbox,
        open_trial=settings.open_trial,
        threads=settings.cpus_per_worker,
        backend="nccl" if on_gpu else "gloo",
        # A trial that ran out of memory is tried again alone, and then has all of it.
        trials_per_gpu=max(1, int(1 / settings.gpus_per_worker)) if on_gpu and not settings.exclusive else 0,
    )
    return SlotTrainer(
        serve_rank,
        train_loop_config={"settings": loop_settings},
        scaling_config=train.ScalingConfig(
            num_workers=settings.num_workers,
            use_gpu=on_gpu,
            resources_per_worker=resources | ({"GPU": settings.gpus_per_worker} if on_gpu else {}),
        ),
        backend_config=SlotBackendConfig(),
        run_config=train.RunConfig(
            name=f"slot-{uuid.uuid4().hex}",  # runs of one name would share checkpoints
            storage_path=settings.scratch_folder,
            storage_filesystem=settings.filesystem,
        ),
    )
