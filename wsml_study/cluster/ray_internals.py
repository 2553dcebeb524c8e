"""Every private name of Ray that is used, in one table; `pyproject.toml` caps Ray at the release they were tested with.

Names are resolved when they are first asked for: a Tune actor has no use for what the driver needs, and importing all
of Ray costs seconds. `from wsml_study.cluster.ray_internals import Node` works as an ordinary import does.
"""

from __future__ import annotations

import importlib
from typing import Any

MODULES = {
    # Addresses of clusters; authentication tokens.
    "parse_address": "ray._common.network_utils",
    "canonicalize_bootstrap_address_or_die": "ray._private.services",
    "maybe_enable_token_auth_if_token_available": ("ray._private.authentication.authentication_token_setup"),
    "is_token_auth_enabled": "ray._private.authentication.authentication_utils",
    # A local Ray on loopback without monitor, log monitor and dashboard.
    "Node": "ray._private.node",
    "ray_constants": "ray._private",
    "node": "ray._private",
    "services": "ray._private",
    # Where Ray takes over signals of the driver.
    "utils": "ray._private",
    "_raylet": "ray",
    # Placement groups with their creators, which `placement_group_table` leaves out.
    "state": "ray._private.state",
    "PlacementGroupTableData": "ray.core.generated.gcs_pb2",
    # Tune's actors, by which it speaks to its slots.
    "RayActorManager": "ray.air.execution._internal.actor_manager",
    "tune_controller": "ray.tune.execution",
    # Where Tune looks up what it runs.
    "trial": "ray.tune.experiment",
    # What Tune records of trials.
    "_ExperimentCheckpointManager": "ray.tune.execution.experiment_state",
    "tune": "ray.tune",
    # What the autoscaler is starting.
    "get_cluster_status": "ray.autoscaler.v2.sdk",
    "_internal_kv_get": "ray.experimental.internal_kv",
    # Ray Train's controller without its helper actors.
    "DatasetsCallback": "ray.train.v2._internal.callbacks",
    "PlacementGroupCleanerCallback": "ray.train.v2._internal.callbacks.placement_group_callback",
    "TrainController": "ray.train.v2._internal.execution.controller",
    "FixedScalingPolicy": "ray.train.v2._internal.execution.scaling_policy",
    "DataParallelTrainer": "ray.train.v2.api.data_parallel_trainer",
}
"""Private name -> the module of Ray that has it."""


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(MODULES[name])
    # A submodule (`ray._private.node`) is no attribute of its package until it is imported.
    return getattr(module, name) if hasattr(module, name) else importlib.import_module(f"{module.__name__}.{name}")
