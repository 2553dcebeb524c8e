"""The history of one trial: its state after its events in the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile
from typing import Any

from wsml_study.record.kept_result import KeptResult
from wsml_study.study.objective_section import Objective

Event = Mapping[str, Any]


class TrialState(StrEnum):
    """State of a trial."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


ENDED = (TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED)


@dataclass(frozen=True, kw_only=True)
class Exploit:
    """Population based training: a trial copied the network of another one and continued with perturbed values.

    Attributes:
        epoch: after which it did so.
        source: number of the other trial.
        checkpoint: of the other trial after that epoch.
        values: the trial's values before, by dotted path.
    """

    epoch: int
    source: int
    checkpoint: str
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """The trial of a cheaper level of fidelity whose config survived.

    Attributes:
        level: number of the level, from 1.
        trial: number of the trial at that level.
        value: objective at that level.
    """

    level: int
    trial: int
    value: float


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """A proposal of the sampler that would have computed the same as an earlier trial, and so shares that trial's run.

    Attributes:
        trial: number of the earlier trial.
        values: that the sampler proposed, by dotted path.
        sampler_state: data that the sampler stores with the proposal.
    """

    trial: int
    values: dict[str, Any]
    sampler_state: dict[str, Any]


@dataclass(kw_only=True)
class TrialHistory:
    """History of one trial.

    Attributes:
        number: from 0, in the order of creation.
        values: suggested by the sampler, by dotted path; in population based training those of the newest epochs.
        config: the resolved trial config as plain data.
        state: running until the trial has ended.
        closed: the event of its end has been read, so the trial changes no more.
        attempt: number of starts; 0 before the first.
        epochs: epoch -> fields of its `EpochResult`, as plain data; in ascending order. All but the newest are packed.
        checkpoint: (epoch, folder) of the checkpoint to resume from, or None; another trial's after an exploit.
        saved: epoch -> folder of its own checkpoints that still exist; in ascending order.
        exploits: in population based training, oldest first.
        moving: it has left its slot and will go on in another one: from an exploit, or after a pause.
        paused_after: the epoch after which the early stopping rule last paused it; None if it never has.
        error: why the trial failed.
        out_of_memory: the error after which it waits to be retried while no other trial runs.
        sampler_state: data that the sampler stores with the trial.
        config_number: of the config whose run it is, where a config has several runs; None elsewhere.
        run: which of the config's runs it is, from 0.
        computes: equal for trials that compute the same; None in logs of versions that ran each.
        repeats: proposals that the sampler made between the trial before and this one, and that were no new trials.
        test: test metrics of the best epoch; None for trials that are not tested.
        confirms: in a confirmation, the trial of the search whose config this one repeats.
        promoted: the trial of a cheaper level of fidelity whose config this one runs.
        proposed: with `factors`, values of the searched keys of that config, also of those that its levels do not take.
        origin: the entry of `start_from` that it comes from; None for a proposal of the sampler.
        started, ended: seconds since 1970.
        starts: when it came to a slot, each time; in seconds since 1970.
        host: name of the machine that its newest epoch ran on; None in logs of earlier versions.
    """

    number: int
    values: dict[str, Any]
    config: dict[str, Any]
    state: TrialState = TrialState.RUNNING
    closed: bool = False
    attempt: int = 0
    epochs: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    checkpoint: tuple[int, str] | None = None
    saved: dict[int, str] = field(default_factory=dict)
    exploits: list[Exploit] = field(default_factory=list)
    moving: bool = False
    paused_after: int | None = None
    error: str | None = None
    out_of_memory: str | None = None
    sampler_state: dict[str, Any] = field(default_factory=dict)
    config_number: int | None = None
    run: int = 0
    computes: str | None = None
    repeats: tuple[Repeat, ...] = ()
    test: dict[str, Any] | None = None
    confirms: int | None = None
    promoted: Promotion | None = None
    proposed: dict[str, Any] | None = None
    origin: str | None = None
    started: float | None = None
    ended: float | None = None
    starts: list[float] = field(default_factory=list)
    host: str | None = None

    def apply(self, event: Event) -> None:
        """Add one event of this trial."""
        match event["event"]:
            case "attempt":
                _start(self, event)
            case "epoch":
                _put_epoch(self, event)
            case "saved":
                self.checkpoint = (event["epoch"], event["checkpoint"])
                _drop_from(self.saved, event["epoch"])
                self.saved[event["epoch"]] = event["checkpoint"]
            case "exploited":
                _move(self, event)
            case "resumed":
                self.state = TrialState.RUNNING
                self.moving = True
            case "out_of_memory":
                self.out_of_memory = event["error"]
            case "ended":
                _end(self, event)

    @property
    def last_epoch(self) -> int:
        """The newest epoch, 0 before the first."""
        return next(reversed(self.epochs), 0)

    @property
    def of_config(self) -> int:
        """Number of its config: its own number where a config is one run."""
        return self.number if self.config_number is None else self.config_number

    @property
    def takes_over(self) -> bool:
        """Whether the checkpoint to resume from is another trial's."""
        return self.checkpoint is not None and self.checkpoint[1] in {exploit.checkpoint for exploit in self.exploits}

    def values_in(self, epoch: int) -> dict[str, Any]:
        """The values that an epoch ran with."""
        # An exploit keeps the values from before it, so the first exploit at or after the epoch has those of the epoch.
        return next((exploit.values for exploit in self.exploits if exploit.epoch >= epoch), self.values)

    def values_by_epoch(self, objective: Objective) -> dict[int, float]:
        """Epoch -> the objective after it: the metric of the best epoch so far, or of the epoch itself.

        The best epoch of linear_init is one end to end, once these have begun from the probe's best head. Without
        validation images it is empty.
        """
        values: dict[int, float] = {}
        best: float | None = None
        for epoch, result in self.epochs.items():
            value = metric_of(result)
            if value is None:
                continue
            best = value if best is None else objective.sign * max(objective.sign * best, objective.sign * value)
            best = float(result.get("best_objective", best))  # absent from logs of versions without other metrics
            values[epoch] = best if objective.of_best_epoch else value
        return values

    def value(self, objective: Objective) -> float | None:
        """The objective after the newest epoch; None before the first epoch ends, and without validation images."""
        newest = self.epochs.get(self.last_epoch)
        if newest is None:
            return None
        value = metric_of(newest)
        if value is None or not objective.of_best_epoch:
            return value
        if "best_objective" in newest:  # the usual case, without a look at the epochs before
            return float(newest["best_objective"])
        return self.values_by_epoch(objective)[self.last_epoch]


def metric_of(result: Mapping[str, Any]) -> float | None:
    """The objective's metric in the result of an epoch; mAP in logs of versions that had no other metric."""
    value = result["objective"] if "objective" in result else result["val_map"]
    return None if value is None else float(value)


def best_metric_of(result: Mapping[str, Any]) -> float | None:
    """As `metric_of`, of the best epoch so far."""
    value = result["best_objective"] if "best_objective" in result else result["best_val_map"]
    return None if value is None else float(value)


def _start(trial: TrialHistory, event: Event) -> None:
    trial.attempt = event["attempt"]
    trial.moving = False
    if trial.state is TrialState.PAUSED:  # its slot was lost before it had saved the trial
        trial.state = TrialState.RUNNING
    trial.started = trial.started or event["time"]
    trial.starts.append(event["time"])


def _end(trial: TrialHistory, event: Event) -> None:
    trial.state = TrialState(event["state"])
    trial.error = event.get("error")
    trial.sampler_state = dict(event["sampler_state"])
    trial.ended = event["time"]
    trial.closed = True
    _pack_newest(trial)


def _put_epoch(trial: TrialHistory, event: Event) -> None:
    """An epoch that is repeated after a restart replaces its earlier result and everything after it."""
    epoch = event["result"]["epoch"]
    _drop_from(trial.epochs, epoch)
    _drop_from(trial.saved, epoch)
    while trial.exploits and trial.exploits[-1].epoch >= epoch:
        trial.exploits.pop()
    if trial.checkpoint is not None and trial.checkpoint[0] >= epoch:
        trial.checkpoint = None
    trial.host = event.get("host", trial.host)
    _pack_newest(trial)
    of_event = {"time": event["time"], "attempt": event["attempt"], "host": trial.host}
    trial.epochs[epoch] = {**event["result"], **of_event}
    trial.test = event.get("test", trial.test)
    # The event of the last epoch already says that the trial has ended: a crash may prevent the `ended` event.
    trial.state = TrialState(event["state"])
    trial.ended = event["time"] if trial.state in ENDED else None
    if trial.state is TrialState.PAUSED:
        trial.paused_after = epoch
        _pack_newest(trial)


def _pack_newest(trial: TrialHistory) -> None:
    """Pack the newest epoch, which is the only one that is not."""
    newest = trial.epochs.get(trial.last_epoch)
    if newest is not None and not isinstance(newest, KeptResult):
        trial.epochs[trial.last_epoch] = KeptResult(newest)


def _drop_from(by_epoch: dict[int, Any], epoch: int) -> None:
    """Remove an epoch and those after it from a dictionary in ascending order."""
    # From the end: looking at all epochs after every epoch would take quadratic time to read a long study's log.
    for later in list(takewhile(lambda number: number >= epoch, reversed(by_epoch))):
        del by_epoch[later]


def _move(trial: TrialHistory, event: Event) -> None:
    trial.exploits.append(
        Exploit(epoch=event["epoch"], source=event["source"], checkpoint=event["checkpoint"], values=dict(trial.values))
    )
    trial.checkpoint = (event["epoch"], event["checkpoint"])
    trial.values, trial.config = dict(event["values"]), dict(event["config"])
    trial.moving = True
