"""Ray Tune without records of its own: the event log is the truth, and no run is restored from Tune's.

Tune writes the state of all trials and uploads it, and waits for that, whenever a trial has saved as many checkpoints
as are kept; no setting prevents it. When a run ends it looks for two files of results per trial, which are not written.
For 100,000 trials either would take very long. It also keeps every trial in memory, with its config and last result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune

from wsml_study.cluster.ray_internals import _ExperimentCheckpointManager, tune_controller
from wsml_study.cluster.ray_internals import tune as tune_run


class _NoSnapshots(_ExperimentCheckpointManager):  # type: ignore[misc]
    """As its parent, without writing anything."""

    def sync_up_experiment_state(self, *args: Any, **settings: Any) -> None:
        """No-op: skips the snapshot of all trials."""

    def on_trial_checkpoint(self, trial: Any) -> None:
        """No-op: skips the count that forces a snapshot."""


class EndedTrialsEmptied(tune.Callback):  # type: ignore[misc]
    """Takes config and results out of Tune's trials that have ended. To be the last of the callbacks."""

    def __init__(self) -> None:
        self._ended: deque[Any] = deque()
        self._resources: Any = None

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune before it processes the next event: it has done with those that ended before."""
        while self._ended:
            trial = self._ended.popleft()
            if trial.is_finished():
                trial.config, trial.evaluated_params, trial._Trial__unresolved_config = {}, {}, {}
                trial.run_metadata = type(trial.run_metadata)()
                self._resources = self._resources or trial.placement_group_factory
                trial.placement_group_factory = self._resources  # equal for all trials of a run

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended."""
        self._ended.append(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed, and Tune does not retry it."""
        self._ended.append(trial)


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
