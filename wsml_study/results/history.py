"""What happened in a study: the state that its events add up to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Event = Mapping[str, Any]


class TrialState(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


RUN_KEYS = ("time", "environment", "data_fingerprint")
ENDED = (TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED)


@dataclass(kw_only=True)
class TrialHistory:
    """One trial so far.

    Attributes:
        number: from 0, in the order of creation.
        values: what the sampler suggested, by dotted path.
        config: the resolved trial config as plain data.
        state: running until it ended, for whatever reason.
        closed: the event of its end is known, so nothing about it changes any more.
        attempt: how often it was started, from 1; 0 before the first start.
        epochs: epoch -> what `EpochResult` says of it, as plain data.
        checkpoint: (epoch, folder) of the newest checkpoint, or None.
        error: why the trial failed.
        sampler_state: what the sampler wants to find again with the trial.
        test: test metrics of the best epoch, of trials that are tested.
        confirms: the trial of the search whose config this one runs again.
        started, ended: seconds since 1970.
    """

    number: int
    values: dict[str, Any]
    config: dict[str, Any]
    state: TrialState = TrialState.RUNNING
    closed: bool = False
    attempt: int = 0
    epochs: dict[int, dict[str, Any]] = field(default_factory=dict)
    checkpoint: tuple[int, str] | None = None
    error: str | None = None
    sampler_state: dict[str, Any] = field(default_factory=dict)
    test: dict[str, Any] | None = None
    confirms: int | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def last_epoch(self) -> int:
        """The newest epoch, 0 before the first."""
        return max(self.epochs, default=0)

    def values_by_epoch(self, metric: str) -> dict[int, float]:
        """The objective after each epoch: `best_val_map`, the best mAP so far, or `last_val_map`."""
        values: dict[int, float] = {}
        best = -math.inf
        for epoch in sorted(self.epochs):
            val_map = float(self.epochs[epoch]["val_map"])
            best = max(best, val_map)
            values[epoch] = best if metric == "best_val_map" else val_map
        return values

    def value(self, metric: str) -> float | None:
        """The objective after the newest epoch; None before the first epoch ends."""
        return self.values_by_epoch(metric).get(self.last_epoch)


@dataclass(kw_only=True)
class StudyHistory:
    """What the runs of a study have done so far.

    Attributes:
        trials: by number.
        classes: names, in the order of every AP per class.
        runs: one per start of the study, oldest first: time, environment and data_fingerprint, as far as the log has
            them (it has not in version 0.1).
        num_trials: how many trials the newest run wants the study to have; None before the first run.
    """

    trials: dict[int, TrialHistory] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    runs: tuple[dict[str, Any], ...] = ()
    num_trials: int | None = None

    @classmethod
    def replay(cls, events: Iterable[Event]) -> StudyHistory:
        """The state after all of these events."""
        history = cls()
        for event in events:
            history.apply(event)
        return history

    def apply(self, event: Event) -> None:
        """Add one event."""
        if event["event"] == "run":
            self.classes = tuple(event["classes"])
            self.runs = (*self.runs, {key: event[key] for key in RUN_KEYS if key in event})
            self.num_trials = event.get("num_trials")  # absent from logs of version 0.1
            return
        if event["event"] == "created":
            number = event["trial"]
            self.trials[number] = TrialHistory(
                number=number,
                values=dict(event["values"]),
                config=dict(event["config"]),
                sampler_state=dict(event["sampler_state"]),
                confirms=event.get("confirms"),
            )
            return
        trial = self.trials[event["trial"]]
        match event["event"]:
            case "attempt":
                trial.attempt = event["attempt"]
                trial.started = trial.started or event["time"]
            case "epoch":
                _put_epoch(trial, event)
            case "saved":
                trial.checkpoint = (event["epoch"], event["checkpoint"])
            case "ended":
                trial.state = TrialState(event["state"])
                trial.error = event.get("error")
                trial.sampler_state = dict(event["sampler_state"])
                trial.ended = event["time"]
                trial.closed = True

    def with_state(self, *states: TrialState) -> list[TrialHistory]:
        """Trials in any of these states, by number."""
        return [trial for _, trial in sorted(self.trials.items()) if trial.state in states]


def _put_epoch(trial: TrialHistory, event: Event) -> None:
    """An epoch that is run again after a restart replaces itself and everything that followed."""
    result = dict(event["result"])
    for later in [number for number in trial.epochs if number >= result["epoch"]]:
        del trial.epochs[later]
    trial.epochs[result["epoch"]] = result | {"time": event["time"], "attempt": event["attempt"]}
    trial.test = event.get("test", trial.test)
    # Its last epoch ends a trial, even if a crash keeps the event of the end from being written.
    trial.state = TrialState(event["state"])
    trial.ended = None if trial.state is TrialState.RUNNING else event["time"]
