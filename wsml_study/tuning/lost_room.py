"""Room that a dead worker group still holds, given back.

Ray keeps a placement group as long as the job lives, also when the Tune actor that made it is gone; with all CPUs in it
no trial could start again. Ray Train's own cleaner asks the dashboard, which a local Ray has not, and knows a group no
sooner than its workers have started.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray import ActorID, PlacementGroupID, tune
from ray._private.state import state
from ray.core.generated.gcs_pb2 import PlacementGroupTableData
from ray.util.placement_group import PlacementGroup, remove_placement_group

INTERVAL_S = 2.0


class LostRoom(tune.Callback):  # type: ignore[misc]
    """Looks for it again and again while trials run: a group may be lost at any moment, whoever was killed."""

    def __init__(self) -> None:
        self._due = 0.0

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tune is about to look at what its trials have done."""
        if time.monotonic() >= self._due:
            give_back()
            self._due = time.monotonic() + INTERVAL_S


def give_back() -> None:
    """Remove the placement groups of this job that an actor made which is dead."""
    own_job = ray.get_runtime_context().get_job_id()
    for content in state._connect_and_get_accessor().get_placement_group_table():
        group = PlacementGroupTableData.FromString(content)
        # What the driver makes, Tune's groups among it, has no actor that could live.
        is_lost = group.creator_actor_dead and not ActorID(group.creator_actor_id).is_nil()
        is_there = group.creator_job_id.hex() == own_job and group.state != PlacementGroupTableData.REMOVED
        if is_lost and is_there:
            remove_placement_group(PlacementGroup(PlacementGroupID(group.placement_group_id)))
