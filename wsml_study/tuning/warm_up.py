"""Processes that start before anything waits for them.

An actor's process starts when Ray creates the actor, and a slot's actors create each other: the Tune actor the
controller, the controller the workers. Each would start Python and import its libraries only when the one before is
done. Here as many processes as the first slots will need start as soon as Ray runs, import what they will need, and
wait among Ray's idle processes, which Ray takes for new actors as long as their runtime environments agree.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import ray

WORKER_MARK = {"WSML_STUDY_PROCESS": "worker"}
"""Tells the processes of Ray Train's workers, which import torch, from those around them, which need not."""

AROUND_A_SLOT = 4
"""Tune's actor, the mailbox, Ray Train's controller, and the actor by which workers wait for each other."""

_AROUND = ("ray.tune", "ray.train.v2.api.data_parallel_trainer", "wsml_study.tuning.workers")
_WORKER = ("ray.train.torch", "wsml_study.training.trial", "wsml_study.training.trial_data")


def start_ahead(*, num_slots: int, workers_per_trial: int) -> None:
    """Ask for the processes of the first slots; returns at once.

    Args:
        num_slots: trials that will run at once.
        workers_per_trial: processes that share a trial.
    """
    prepare = ray.remote(num_cpus=0, max_retries=0)(_prepare)
    for _ in range(num_slots):
        for _ in range(AROUND_A_SLOT):
            prepare.remote(_AROUND)
        for _ in range(workers_per_trial):
            prepare.options(runtime_env={"env_vars": WORKER_MARK}).remote(_WORKER)


def _prepare(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
