"""What every tracker does, and how they follow a run.

A tracker is driven by the history that the event log adds up to, and by nothing else: it is shown a trial and brings
its store up to it. Shown the same again it does nothing. That is all there is to resuming, and to a crash between the
log and a store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from wsml_study.description import Scalar
from wsml_study.record.history import StudyHistory, TrialHistory
from wsml_study.tuning.ledger import Listener

SCALARS = {
    "val_map": "map/validation",
    "val_map_true": "map/true_labels",
    "val_map_observed": "map/observed_labels",
    "best_val_map": "map/best",
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
"""Column of the epochs table -> what trackers call it; mAP in percent, shares as fractions."""

OBJECTIVE = "objective"
"""What they call a trial's value once it has ended."""


def scalars_of(result: Mapping[str, Any]) -> dict[str, float]:
    """What an epoch showed, by trackers' names; what there was nothing to tell from is left out."""
    return {name: float(result[key]) for key, name in SCALARS.items() if result.get(key) is not None}


def parameters_of(trial: TrialHistory) -> dict[str, Scalar]:
    """What tells a trial from the others: its suggested values, and its method in any case."""
    return {"method.name": trial.config["method"]["name"]} | trial.values


class Tracker(Protocol):
    """Shows a study in another program's store."""

    called: str
    """What it is, in messages."""

    def begin(self, history: StudyHistory) -> None:
        """Open the store for a study that starts or goes on, and find out what it shows already.

        Args:
            history: what happened so far, the newest run included.
        """

    def show(self, trial: TrialHistory) -> None:
        """Bring the store up to a trial's history; trials come for the first time in the order of their numbers."""

    def close(self) -> None:
        """The run is over; trials that have not ended go on another time."""


class Tracked:
    """A listener that passes everything on to another one, and shows trials to trackers."""

    def __init__(self, listener: Listener, trackers: Sequence[Tracker]) -> None:
        self._listener = listener
        self._trackers = list(trackers)
        self._shown = 0

    def on_phase(self, message: str) -> None:
        """Something that takes a while begins."""
        self._listener.on_phase(message)

    def on_notice(self, message: str) -> None:
        """Something that the user should know."""
        self._listener.on_notice(message)

    def on_images(self, done: int, total: int) -> None:
        """So many images of a split were decoded into the store."""
        self._listener.on_images(done, total)

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
        """The run is over."""
        self._each(lambda tracker: tracker.close())
        self._trackers.clear()

    def _catch_up(self, history: StudyHistory, until: int) -> None:
        for number in range(self._shown, until):
            self._show(history.trials[number])
        self._shown = max(self._shown, until)

    def _show(self, trial: TrialHistory) -> None:
        self._each(lambda tracker: tracker.show(trial))

    def _each(self, act: Callable[[Tracker], None]) -> None:
        """Act on each tracker; one that fails is left out from then on, since a study outlives those who watch it."""
        for tracker in list(self._trackers):
            try:
                act(tracker)
            except Exception as error:  # whatever another program's client raises
                self._trackers.remove(tracker)
                self._listener.on_notice(
                    f"{tracker.called}: {error}; the study goes on without it, the next run of it catches up"
                )
