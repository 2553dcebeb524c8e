"""Ray Tune starts trials in the order in which they were handed out, without looking for the next one."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import FIFOScheduler


class InOrder(FIFOScheduler):  # type: ignore[misc]
    """As its parent, which at every event looks for a waiting trial among all trials that there ever were."""

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None: Tune starts the trials that wait, the first of them first."""
        del tune_controller
