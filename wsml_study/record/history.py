"""What happened in a study: the state that its events add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from wsml_study.study.objective_section import Objective

Event = Mapping[str, Any]


class TrialState(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


RUN_KEYS = ("time", "environment", "data_fingerprint")
ENDED = (TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED)


@dataclass(frozen=True, kw_only=True)
class Exploit:
    """A trial of a population took over another's network, and went on with other values.

    Attributes:
        epoch: after which it did so.
        source: number of the other trial.
        checkpoint: the other's state after that epoch.
        values: what it had before, by dotted path.
    """

    epoch: int
    source: int
    checkpoint: str
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """Where a trial's config comes from: it survived a cheaper level of fidelity.

    Attributes:
        level: number of the level, from 1.
        trial: its number there.
        value: its objective there.
    """

    level: int
    trial: int
    value: float


@dataclass(kw_only=True)
class TrialHistory:
    """One trial so far.

    Attributes:
        number: from 0, in the order of creation.
        values: what the sampler suggested, by dotted path; in a population, what the newest epochs run with.
        config: the resolved trial config as plain data.
        state: running until it ended, for whatever reason.
        closed: the event of its end is known, so nothing about it changes any more.
        attempt: how often it was started, from 1; 0 before the first start.
        epochs: epoch -> what `EpochResult` says of it, as plain data.
        checkpoint: (epoch, folder) of the checkpoint to go on from, or None; another trial's after an exploit.
        saved: epoch -> folder of its own checkpoints, as long as they are kept.
        exploits: of a population, oldest first.
        moving: it has ended in one slot, to go on from an exploit in the next.
        error: why the trial failed.
        out_of_memory: why it waits until it can be tried again alone.
        sampler_state: what the sampler wants to find again with the trial.
        test: test metrics of the best epoch, of trials that are tested.
        confirms: the trial of the search whose config this one runs again.
        promoted: the trial of a cheaper level whose config this one runs.
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
    saved: dict[int, str] = field(default_factory=dict)
    exploits: list[Exploit] = field(default_factory=list)
    moving: bool = False
    error: str | None = None
    out_of_memory: str | None = None
    sampler_state: dict[str, Any] = field(default_factory=dict)
    test: dict[str, Any] | None = None
    confirms: int | None = None
    promoted: Promotion | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def last_epoch(self) -> int:
        """The newest epoch, 0 before the first."""
        return max(self.epochs, default=0)

    @property
    def takes_over(self) -> bool:
        """Whether the checkpoint to go on from is another trial's."""
        return self.checkpoint is not None and self.checkpoint[1] in {exploit.checkpoint for exploit in self.exploits}

    def values_in(self, epoch: int) -> dict[str, Any]:
        """The values that an epoch was run with."""
        return next((exploit.values for exploit in self.exploits if exploit.epoch >= epoch), self.values)

    def values_by_epoch(self, objective: Objective) -> dict[int, float]:
        """The objective after each epoch: that of the best epoch so far, or of the epoch itself.

        Epochs without validation images have none.
        """
        values: dict[int, float] = {}
        best: float | None = None
        for epoch in sorted(self.epochs):
            value = metric_of(self.epochs[epoch])
            if value is None:
                continue
            best = value if best is None else objective.sign * max(objective.sign * best, objective.sign * value)
            values[epoch] = best if objective.of_best_epoch else value
        return values

    def value(self, objective: Objective) -> float | None:
        """The objective after the newest epoch; None before the first epoch ends, and without validation images."""
        return self.values_by_epoch(objective).get(self.last_epoch)


def metric_of(result: Mapping[str, Any]) -> float | None:
    """The objective's metric in the result of an epoch. Earlier versions knew no metric but mAP."""
    value = result.get("objective", result["val_map"])
    return None if value is None else float(value)


def best_metric_of(result: Mapping[str, Any]) -> float | None:
    """As `metric_of`, of the best epoch until then."""
    value = result.get("best_objective", result["best_val_map"])
    return None if value is None else float(value)


@dataclass(kw_only=True)
class StudyHistory:
    """What the runs of a study have done so far.

    Attributes:
        trials: by number.
        classes: names, in the order of every AP per class.
        runs: one per start of the study, oldest first: time, environment and data_fingerprint, as far as the log has
            them (it has not in version 0.1).
        num_trials: how many trials the newest run wants the study to have; None before the first run.
        proposed: number -> values and sampler_state of trials that were proposed in a batch and are not created yet.
    """

    trials: dict[int, TrialHistory] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    runs: tuple[dict[str, Any], ...] = ()
    num_trials: int | None = None
    proposed: dict[int, dict[str, Any]] = field(default_factory=dict)

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
        if event["event"] == "proposed":
            self.proposed |= dict(enumerate(event["proposals"], start=event["first"]))
            return
        if event["event"] == "created":
            number = event["trial"]
            self.proposed.pop(number, None)
            self.trials[number] = TrialHistory(
                number=number,
                values=dict(event["values"]),
                config=dict(event["config"]),
                sampler_state=dict(event["sampler_state"]),
                confirms=event.get("confirms"),
                promoted=Promotion(**event["promoted"]) if event.get("promoted") else None,
            )
            return
        trial = self.trials[event["trial"]]
        match event["event"]:
            case "attempt":
                trial.attempt = event["attempt"]
                trial.moving = False
                trial.started = trial.started or event["time"]
            case "epoch":
                _put_epoch(trial, event)
            case "saved":
                trial.checkpoint = (event["epoch"], event["checkpoint"])
                trial.saved[event["epoch"]] = event["checkpoint"]
            case "exploited":
                _move(trial, event)
            case "out_of_memory":
                trial.out_of_memory = event["error"]
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
    trial.exploits = [exploit for exploit in trial.exploits if exploit.epoch < result["epoch"]]
    trial.saved = {number: folder for number, folder in trial.saved.items() if number < result["epoch"]}
    if trial.checkpoint is not None and trial.checkpoint[0] >= result["epoch"]:
        trial.checkpoint = None
    trial.epochs[result["epoch"]] = result | {"time": event["time"], "attempt": event["attempt"]}
    trial.test = event.get("test", trial.test)
    # Its last epoch ends a trial, even if a crash keeps the event of the end from being written.
    trial.state = TrialState(event["state"])
    trial.ended = None if trial.state is TrialState.RUNNING else event["time"]


def _move(trial: TrialHistory, event: Event) -> None:
    trial.exploits.append(
        Exploit(epoch=event["epoch"], source=event["source"], checkpoint=event["checkpoint"], values=dict(trial.values))
    )
    trial.checkpoint = (event["epoch"], event["checkpoint"])
    trial.values, trial.config = dict(event["values"]), dict(event["config"])
    trial.moving = True
