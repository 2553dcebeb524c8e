"""Removes placement groups whose creator has died.

Ray keeps a placement group until the job ends, even when the Tune actor that created it is dead. Its CPUs and GPUs stay
reserved, so no new trial could start on them. Ray Train's own cleaner does not help: it queries the dashboard, which a
local Ray does not run, and it learns of a group only once the group's workers have started.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray import ActorID, PlacementGroupID, tune
from ray.util.placement_group import PlacementGroup, remove_placement_group

from wsml_study.cluster.ray_internals import PlacementGroupTableData, state

INTERVAL_S = 2.0


class LeakedPlacementGroups(tune.Callback):  # type: ignore[misc]
    """Removes leaked placement groups every `INTERVAL_S` seconds while trials run."""

    def __init__(self) -> None:
        self._due = 0.0

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune before it processes the next event of its trials."""
        if time.monotonic() >= self._due:
            remove_leaked_placement_groups()
            self._due = time.monotonic() + INTERVAL_S


def remove_leaked_placement_groups() -> None:
    """Remove every placement group of this job that was created by an actor which is dead now."""
    own_job = ray.get_runtime_context().get_job_id()
    for content in state._connect_and_get_accessor().get_placement_group_table():
        group = PlacementGroupTableData.FromString(content)
        # Groups created by the driver, Tune's among them, have a nil creator actor: they are not leaked.
        is_leaked = group.creator_actor_dead and not ActorID(group.creator_actor_id).is_nil()
        is_ours = group.creator_job_id.hex() == own_job and group.state != PlacementGroupTableData.REMOVED
        if is_leaked and is_ours:
            remove_placement_group(PlacementGroup(PlacementGroupID(group.placement_group_id)))
