"""Machines that come when somebody asks for them, on clusters that scale by demand.

Trials are started where there is room, so they ask for nothing more. A study asks by placement groups that nobody uses:
the cluster forgets them when the driver ends, however it ends.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import ray
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group

from wsml_study.cluster.ray_internals import _internal_kv_get, get_cluster_status
from wsml_study.cluster.session import count_slots, living_nodes, needs_of_a_worker
from wsml_study.errors import ResourcesError
from wsml_study.record.wording import duration
from wsml_study.study.resources_section import Resources

MOST_ASKED_FOR = 64
"""Trials that room is asked for at once."""

STATIC_S = 30.0
"""A cluster that starts no machine for so long after it was asked does not grow, or not any more."""

PATIENCE_S = 1800.0
NOTICE_INTERVAL_S = 60.0


class Growth:
    """What a study asks of the connected cluster beyond what there is."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._asked: list[PlacementGroup] = []
        self._num_nodes = 0
        self._hopeful_at: float | None = None

    @property
    def is_hopeless(self) -> bool:
        """Whether the cluster was asked for a while and starts no machine."""
        return self._hopeful_at is not None and time.monotonic() - self._hopeful_at >= STATIC_S

    def ask_for(self, num_trials: int) -> None:
        """Ask for room for so many trials more, unless there is room, or hope is lost.

        Call it again and again: room that has come is let go, so that trials can take it.
        """
        states = placement_group_table()
        for group in [one for one in self._asked if states[one.id.hex()]["state"] != "PENDING"]:
            self._drop(group)
        nodes = living_nodes()
        if len(nodes) != self._num_nodes:  # one more may follow, one that went may be replaced
            self._num_nodes, self._hopeful_at = len(nodes), None
        if self._asked and (self._hopeful_at is None or machines_coming() > 0):
            self._hopeful_at = time.monotonic()
        needs = needs_of_a_worker(self._resources, has_gpus=any(node["Resources"].get("GPU", 0) > 0 for node in nodes))
        wanted = 0 if self.is_hopeless or self._is_room(needs) else min(max(num_trials, 0), MOST_ASKED_FOR)
        while len(self._asked) < wanted:
            self._asked.append(placement_group([needs] * self._resources.workers_per_trial))
        while len(self._asked) > wanted:
            self._drop(self._asked[-1])

    def _is_room(self, needs: dict[str, float]) -> bool:
        free = ray.available_resources()
        return all(free.get(kind, 0) >= need * self._resources.workers_per_trial for kind, need in needs.items())

    def _drop(self, group: PlacementGroup) -> None:
        self._asked.remove(group)
        remove_placement_group(group)


def machines_coming() -> int:
    """How many machines the cluster's autoscaler is starting; 0 where there is none."""
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    coming = sum(launch.count for launch in status.pending_launches) + len(status.pending_nodes)
    report = json.loads(_internal_kv_get("__autoscaling_status") or "{}").get("autoscaler_report") or {}  # version 1
    launching = (report.get("pending_launches") or {}).values()
    return int(coming + len(report.get("pending_nodes", ())) + sum(launching))


def wait_for_room(resources: Resources, notify: Callable[[str], None]) -> None:
    """Where no trial fits, ask for machines and wait for the first that takes one; at once where none will come.

    Raises:
        ResourcesError: machines were being started for half an hour, and none came that takes a trial.
    """
    growth, started, told = Growth(resources), time.monotonic(), 0.0
    while count_slots(resources, [node["Resources"] for node in living_nodes()]) == 0 and not growth.is_hopeless:
        growth.ask_for(1)
        waited = time.monotonic() - started
        if waited >= PATIENCE_S:
            raise ResourcesError(
                f"the cluster has been starting machines for {duration(waited)}, and none came that takes a trial; see "
                f"`ray status` there"
            )
        if waited >= told:
            notify(f"no machine has room for a trial; asked for one, {machines_coming()} are being started ...")
            told += NOTICE_INTERVAL_S
        time.sleep(1)
    growth.ask_for(0)
