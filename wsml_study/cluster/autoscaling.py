"""Requests machines from a cluster that scales by demand.

A study starts only as many trials as fit on the machines that are there, so its trials do not make the cluster grow.
The driver requests more capacity with placement groups in which nothing runs. Ray removes them when the driver ends,
even if it is killed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import ray
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group

from wsml_study.cluster.ray_internals import _internal_kv_get, get_cluster_status
from wsml_study.cluster.session import alive_nodes, count_slots, worker_resources
from wsml_study.errors import ResourcesError
from wsml_study.record.wording import duration
from wsml_study.study.resources_section import Resources

MAX_TRIALS = 64
"""Trials that capacity is requested for at once."""

NO_REACTION_S = 30.0
"""A cluster that starts no machine for this long after a request has no autoscaler, or is at its maximum."""

MAX_WAIT_S = 1800.0
NOTICE_INTERVAL_S = 60.0


class CapacityRequest:
    """A study's standing request for capacity beyond what the connected cluster has."""

    def __init__(self, resources: Resources) -> None:
        """Request nothing yet.

        Args:
            resources: of each trial.
        """
        self._resources = resources
        self._requested: list[PlacementGroup] = []
        self._num_nodes = 0
        self._last_reaction_at: float | None = None

    @property
    def cluster_does_not_scale(self) -> bool:
        """Whether the cluster has started no machine for `NO_REACTION_S` seconds after a request."""
        return self._last_reaction_at is not None and time.monotonic() - self._last_reaction_at >= NO_REACTION_S

    def update(self, num_trials: int) -> None:
        """Request capacity for this many trials more; for none if a trial fits, or the cluster does not scale.

        To be called regularly: placement groups that have been fulfilled are removed, so that trials can use the
        capacity.
        """
        states = placement_group_table()
        for group in [one for one in self._requested if states[one.id.hex()]["state"] != "PENDING"]:
            self._withdraw(group)
        nodes = alive_nodes()
        if len(nodes) != self._num_nodes:  # more machines may follow, or a lost one may be replaced
            self._num_nodes, self._last_reaction_at = len(nodes), None
        if self._requested and (self._last_reaction_at is None or num_machines_starting() > 0):
            self._last_reaction_at = time.monotonic()
        worker = worker_resources(self._resources, has_gpus=any(node["Resources"].get("GPU", 0) > 0 for node in nodes))
        needless = self.cluster_does_not_scale or self._a_trial_fits(worker)
        wanted = 0 if needless else min(max(num_trials, 0), MAX_TRIALS)
        while len(self._requested) < wanted:
            self._requested.append(placement_group([worker] * self._resources.workers_per_trial))
        while len(self._requested) > wanted:
            self._withdraw(self._requested[-1])

    def _a_trial_fits(self, worker: dict[str, float]) -> bool:
        free = ray.available_resources()
        return all(free.get(kind, 0) >= amount * self._resources.workers_per_trial for kind, amount in worker.items())

    def _withdraw(self, group: PlacementGroup) -> None:
        self._requested.remove(group)
        remove_placement_group(group)


def num_machines_starting() -> int:
    """How many machines the cluster's autoscaler is starting; 0 without an autoscaler."""
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    starting = sum(launch.count for launch in status.pending_launches) + len(status.pending_nodes)
    # Version 1 of the autoscaler, which `ray up` may still start, reports in another place.
    report = json.loads(_internal_kv_get("__autoscaling_status") or "{}").get("autoscaler_report") or {}
    launching = (report.get("pending_launches") or {}).values()
    return int(starting + len(report.get("pending_nodes", ())) + sum(launching))


def wait_for_capacity(resources: Resources, notify: Callable[[str], None]) -> None:
    """Where no trial fits, request a machine and wait for one; return at once if the cluster does not scale.

    Args:
        resources: of each trial.
        notify: told every minute what is being waited for.

    Raises:
        ResourcesError: machines were being started for half an hour, and a trial fits on none of them.
    """
    request, started, next_notice_s = CapacityRequest(resources), time.monotonic(), 0.0
    while count_slots(resources, [node["Resources"] for node in alive_nodes()]) == 0:
        if request.cluster_does_not_scale:
            break
        request.update(1)
        waited = time.monotonic() - started
        if waited >= MAX_WAIT_S:
            raise ResourcesError(
                f"the cluster has been starting machines for {duration(waited)}, but a trial fits on none of them; see "
                f"`ray status` there"
            )
        if waited >= next_notice_s:
            notify(f"no machine has room for a trial; asked for one, {num_machines_starting()} are being started ...")
            next_notice_s += NOTICE_INTERVAL_S
        time.sleep(1)
    request.update(0)
