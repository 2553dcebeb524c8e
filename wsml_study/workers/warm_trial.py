"""Tune's class Trainable of a slot, which Tune keeps for one trial after another (`reuse_actors`)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from wsml_study.workers.protocol import REPORT, Assignment
from wsml_study.workers.ray_train_group import RayTrainGroup
from wsml_study.workers.slot import Slot, WorkerSettings


class WarmTrial(tune.Trainable):  # type: ignore[misc]
    """A slot as Tune sees it: one Tune iteration is one epoch of the trial that the slot was given last."""

    def setup(self, config: dict[str, Any], *, settings: WorkerSettings) -> None:
        """Start the slot's worker group; the first `step` gives it the trial.

        Tune tries a trial again when a step fails, not when a setup does: nothing here waits for the workers.
        """
        self._slot = Slot(settings, partial(RayTrainGroup, settings))
        self._slot.take(Assignment.of(config))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial into the same worker group."""
        self._slot.take(Assignment.of(new_config))
        return True

    def step(self) -> dict[str, Any]:
        """Run one epoch. A crash of the worker group raises, and Tune tries the trial again."""
        report = self._slot.step()
        saved_next = not report.done and self._slot.checkpoint_is_due
        return {REPORT: report, DONE: report.done, SHOULD_CHECKPOINT: saved_next}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the trial's state; Tune moves it to the study's storage."""
        self._slot.save(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Let the trial go on from a saved state."""
        self._slot.load(checkpoint_dir)

    def cleanup(self) -> None:
        """End the worker group."""
        self._slot.close()

    def get_auto_filled_metrics(self, *args: Any, **settings: Any) -> dict[str, Any]:
        """What Tune adds to every result, without the trial's config.

        With 64 companions the config would take 3 ms to pickle and unpickle, epoch after epoch.
        """
        filled: dict[str, Any] = super().get_auto_filled_metrics(*args, **settings)
        filled.pop("config", None)
        return filled
