"""The protocol of trackers, and the listener that calls them.

A tracker depends only on the history of the event log: `show` receives a trial and updates the tracker's store to
match. Calling it twice has no further effect (it is idempotent), so resuming a study, or a crash after an event was
logged and before the store was updated, needs no special treatment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from wsml_study.description import Scalar
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import TrialHistory
from wsml_study.tuning.ledger import Listener

SCALARS = {
    "val_map": "map/validation",
    "val_map_true": "map/true_labels",
    "val_map_observed": "map/observed_labels",
    "best_val_map": "map/best",
    "val_map_raw": "map/raw_weights",
    "val_map_averaged": "map/averaged_weights",
    "train_loss": "loss/train",
    "loss_true_positive": "memorization/true_positives",
    "loss_true_negative": "memorization/true_negatives",
    "loss_false_negative": "memorization/false_negatives",
    "rejection_rate": "distrust/rate",
    "num_distrusted": "distrust/labels",
    "distrust_precision": "distrust/precision",
    "distrust_recall": "distrust/recall",
    "train_seconds": "seconds/training",
    "validation_seconds": "seconds/validation",
}
"""Column of the epochs table -> name of the scalar in trackers; mAP in percent, shares as fractions."""

OBJECTIVE = "objective"
"""Name of the scalar with a trial's final value."""


def scalars_of(result: Mapping[str, Any]) -> dict[str, float]:
    """The scalars of an epoch by their names in trackers; those without a value are left out."""
    return {name: float(result[key]) for key, name in SCALARS.items() if result.get(key) is not None}


def parameters_of(trial: TrialHistory) -> dict[str, Scalar]:
    """The hyperparameters of a trial: its suggested values, and always its method."""
    return {"method.name": trial.config["method"]["name"]} | trial.values


class Tracker(Protocol):
    """Writes a study to the store of another program."""

    called: str
    """Its name in messages."""

    def begin(self, history: StudyHistory) -> None:
        """Open the store when a study starts or resumes, and read what it holds already.

        Args:
            history: of the study so far, including the newest run.
        """

    def show(self, trial: TrialHistory) -> None:
        """Update the store to a trial's history; trials are first shown in the order of their numbers."""

    def close(self) -> None:
        """The run has ended; unfinished trials continue in a later run."""


class Tracked:
    """A listener that forwards every call to another listener, and shows trials to trackers."""

    def __init__(self, listener: Listener, trackers: Sequence[Tracker]) -> None:
        self._listener = listener
        self._trackers = list(trackers)
        self._shown = 0

    def on_phase(self, message: str) -> None:
        """A step that takes a while begins."""
        self._listener.on_phase(message)

    def on_notice(self, message: str) -> None:
        """A message for the user."""
        self._listener.on_notice(message)

    def on_images(self, done: int, total: int) -> None:
        """`done` of `total` images of a split are decoded into the store."""
        self._listener.on_images(done, total)

    def on_preparation(self, message: str) -> None:
        """What the workers do before they can train; empty once they can."""
        self._listener.on_preparation(message)

    def on_slots(self, slots: int, num_trials: int, history: StudyHistory) -> None:
        """Trials begin: open the stores and show what earlier runs did."""
        self._listener.on_slots(slots, num_trials, history)
        self._each(lambda tracker: tracker.begin(history))
        self._catch_up(history, len(history.trials))

    def on_event(self, history: StudyHistory, event: str, number: int) -> None:
        """An event of a trial was written to the log and added to the history."""
        self._listener.on_event(history, event, number)
        self._catch_up(history, number)
        self._show(history.trials[number])

    def close(self) -> None:
        """The run has ended."""
        self._each(lambda tracker: tracker.close())
        self._trackers.clear()

    def _catch_up(self, history: StudyHistory, until: int) -> None:
        for number in range(self._shown, until):
            self._show(history.trials[number])
        self._shown = max(self._shown, until)

    def _show(self, trial: TrialHistory) -> None:
        self._each(lambda tracker: tracker.show(trial))

    def _each(self, act: Callable[[Tracker], None]) -> None:
        """Call each tracker. One that fails is dropped with a notice: a tracker must never end a study."""
        for tracker in list(self._trackers):
            try:
                act(tracker)
            except Exception as error:  # whatever another program's client raises
                self._trackers.remove(tracker)
                self._listener.on_notice(
                    f"{tracker.called}: {error}; the study continues without it, and its next run brings it up to date"
                )
