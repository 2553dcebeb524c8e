"""Ray Tune without records of its own: the event log is the truth, and no run is restored from Tune's.

Tune writes the state of all trials and uploads it, and waits for that, whenever a trial has saved as many checkpoints
as are kept; no setting prevents it. When a run ends it looks for two files of results per trial, which are not written.
For 100,000 trials either would take very long.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wsml_study.cluster.ray_internals import _ExperimentCheckpointManager, tune_controller
from wsml_study.cluster.ray_internals import tune as tune_run


class _NoSnapshots(_ExperimentCheckpointManager):  # type: ignore[misc]
    """As its parent, without writing anything."""

    def sync_up_experiment_state(self, *args: Any, **settings: Any) -> None:
        """No-op: skips the snapshot of all trials."""

    def on_trial_checkpoint(self, trial: Any) -> None:
        """No-op: skips the count that forces a snapshot."""


class _NoAnalysis:
    """What a run of Tune returns, without trials; the history has them."""

    trials: tuple[Any, ...] = ()

    def __init__(self, **_: Any) -> None:
        """Read nothing."""


@contextmanager
def no_records_of_tune() -> Iterator[None]:
    """Keep Tune from recording trials during the block."""
    snapshots, analysis = tune_controller._ExperimentCheckpointManager, tune_run.ExperimentAnalysis
    tune_controller._ExperimentCheckpointManager, tune_run.ExperimentAnalysis = _NoSnapshots, _NoAnalysis
    try:
        yield
    finally:
        tune_controller._ExperimentCheckpointManager, tune_run.ExperimentAnalysis = snapshots, analysis
