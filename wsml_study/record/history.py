"""The history of a study: its state after all events of the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile
from typing import Any

from wsml_study.record.kept_result import KeptResult
from wsml_study.record.spending import Spending, spent_of
from wsml_study.study.budget_section import Budget
from wsml_study.study.objective_section import Objective

Event = Mapping[str, Any]


class TrialState(StrEnum):
    """State of a trial."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


RUN_KEYS = ("time", "environment", "data_fingerprint")
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


@dataclass(frozen=True, kw_only=True)
class SearchEnded:
    """Why a search ended before all its trials.

    Attributes:
        by: the limit that was reached: hours, epochs, gpu_hours or expected_regret.
        limit: its value in the study.
        message: the same in words, with what was reached.
    """

    by: str
    limit: float
    message: str


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
        for epoch, result in sorted(self.epochs.items()):
            value = metric_of(result)
            if value is None:
                continue
            best = value if best is None else objective.sign * max(objective.sign * best, objective.sign * value)
            best = float(result.get("best_objective", best))  # absent from logs of versions without other metrics
            values[epoch] = best if objective.of_best_epoch else value
        return values

    def value(self, objective: Objective) -> float | None:
        """The objective after the newest epoch; None before the first epoch ends, and without validation images."""
        return self.values_by_epoch(objective).get(self.last_epoch)


def metric_of(result: Mapping[str, Any]) -> float | None:
    """The objective's metric in the result of an epoch; mAP in logs of versions that had no other metric."""
    value = result.get("objective", result["val_map"])
    return None if value is None else float(value)


def best_metric_of(result: Mapping[str, Any]) -> float | None:
    """As `metric_of`, of the best epoch so far."""
    value = result.get("best_objective", result["best_val_map"])
    return None if value is None else float(value)


@dataclass(kw_only=True)
class StudyHistory:
    """State of a study after all its runs.

    Attributes:
        trials: by number.
        classes: names, in the order of lists with an AP per class.
        class_groups: group of each class, as in the table `classes`; empty for a dataset without groups.
        judged_labels: what the run noted of the labels that validation and test images are judged by, as plain data;
            empty for logs of earlier versions.
        runs: one per start of the study, oldest first: time, environment and data_fingerprint, as far as the log has
            them (it has not in version 0.1).
        num_trials: total number of trials that the newest run was asked for, of configs where these have several runs;
            None before the first run.
        proposed: number -> values, sampler_state and repeats of trials that were proposed in a batch and are not
            created yet.
        exhausted: the search space holds no other trial.
        start_points: values and origin of the configs that the search begins with, in order; None until it has begun.
        observations: of `warm_start`: study, trial, values and value of trials of earlier studies; None as well.
        runs_per_config: how many runs judge a config (`seeds`, `factors`); 1 where a config is a trial.
        every_run: each config gets all of its runs (`factors`), and `num_trials` counts these.
        runs_of_config: number of a config -> its trials, in the order of its runs.
        lost: numbers of configs that have lost the race and get no further run.
        search_ended: why `budget` or `stop_when` ended the search; None while neither has, and once it goes on.
        limits: `budget` and `stop_when` of the newest run, as plain data.
        spending: hours, epochs and GPU hours of all runs.
        num_left_out: how many trials that have ended are counted and not in `trials` (`log_snapshot.py`).
    """

    trials: dict[int, TrialHistory] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    class_groups: tuple[int, ...] = ()
    judged_labels: dict[str, Any] = field(default_factory=dict)
    runs: tuple[dict[str, Any], ...] = ()
    num_trials: int | None = None
    proposed: dict[int, dict[str, Any]] = field(default_factory=dict)
    exhausted: bool = False
    start_points: tuple[dict[str, Any], ...] | None = None
    observations: tuple[dict[str, Any], ...] | None = None
    runs_per_config: int = 1
    every_run: bool = False
    runs_of_config: dict[int, list[int]] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    search_ended: SearchEnded | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    spending: Spending = field(default_factory=Spending)
    num_left_out: int = 0
    _closed: Counter[TrialState] = field(default_factory=Counter, repr=False, compare=False)
    _open: dict[int, TrialHistory] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def replay(cls, events: Iterable[Event]) -> StudyHistory:
        """The state after all of these events."""
        history = cls()
        for event in events:
            history.apply(event)
        return history

    @classmethod
    def of_open_trials(
        cls, trials: Iterable[TrialHistory], closed: Mapping[TrialState, int], **fields: Any
    ) -> StudyHistory:
        """A history that holds these trials and only counts those that have ended before; other fields as its own."""
        history = cls(trials={trial.number: trial for trial in trials}, num_left_out=sum(closed.values()), **fields)
        history._open, history._closed = dict(history.trials), Counter(closed)
        for number, trial in history.trials.items():
            history.runs_of_config[trial.of_config] = [number]
        return history

    @property
    def unclosed(self) -> list[TrialHistory]:
        """Trials that may still change, by number."""
        return [trial for _, trial in sorted(self._unclosed.items()) if not trial.closed]

    @property
    def num_closed(self) -> dict[TrialState, int]:
        """How many trials have ended for good, by their state."""
        return dict(self._closed)

    @property
    def counts_configs(self) -> bool:
        """Whether `trials` counts configs, which race over their runs, and not trials."""
        return self.runs_per_config > 1 and not self.every_run

    @property
    def num_begun(self) -> int:
        """How many trials there are, or configs where these are counted."""
        return len(self.runs_of_config if self.counts_configs else self.trials) + self.num_left_out

    def apply(self, event: Event) -> None:
        """Add one event."""
        self.spending.apply(event)
        if event["event"] in ("run", "attempt", "created"):
            self.search_ended = None
        if event["event"] == "search_ended":
            self.search_ended = SearchEnded(by=event["by"], limit=event["limit"], message=event["message"])
            self.num_trials = len(self.trials) + self.num_left_out
            return
        if event["event"] == "run":
            self.limits = dict(event.get("limits", {}))
            self.classes = tuple(event["classes"])
            self.class_groups = tuple(event.get("class_groups", ()))
            self.judged_labels = dict(event.get("judged_labels", {}))
            self.runs = (*self.runs, {key: event[key] for key in RUN_KEYS if key in event})
            self.num_trials = event.get("num_trials")  # absent from logs of version 0.1
            self.runs_per_config = event.get("runs_per_config", 1)
            self.every_run = event.get("every_run", False)
            return
        if event["event"] == "proposed":
            self.proposed |= dict(enumerate(event["proposals"], start=event["first"]))
            return
        if event["event"] == "start_points":
            self.start_points = tuple(event["points"])
            return
        if event["event"] == "warm_start":
            self.observations = tuple(event["observations"])
            return
        if event["event"] == "exhausted":
            self.exhausted = True
            self.num_trials = self.num_begun
            return
        if event["event"] == "lost":
            self.lost.add(event["config_number"])
            return
        if event["event"] == "created":
            number = event["trial"]
            trial = self.trials[number] = TrialHistory(
                number=number,
                values=dict(event["values"]),
                config=dict(event["config"]),
                sampler_state=dict(event["sampler_state"]),
                config_number=event.get("config_number"),
                run=event.get("run", 0),
                computes=event.get("computes"),
                repeats=tuple(Repeat(**repeat) for repeat in event.get("repeats", ())),
                confirms=event.get("confirms"),
                promoted=Promotion(**event["promoted"]) if event.get("promoted") else None,
                origin=event.get("origin"),
                proposed=event.get("proposed"),
            )
            self.proposed.pop(trial.of_config, None)
            self.runs_of_config.setdefault(trial.of_config, []).append(number)
            self._open[number] = trial
            return
        trial = self.trials[event["trial"]]
        if trial.closed and trial.number not in self._open:  # logs of earlier versions may go on with it
            self._closed[trial.state] -= 1
            self._open[trial.number] = trial
        match event["event"]:
            case "attempt":
                trial.attempt = event["attempt"]
                trial.moving = False
                if trial.state is TrialState.PAUSED:  # its slot was lost before it had saved the trial
                    trial.state = TrialState.RUNNING
                trial.started = trial.started or event["time"]
                trial.starts.append(event["time"])
            case "epoch":
                _put_epoch(trial, event)
            case "saved":
                trial.checkpoint = (event["epoch"], event["checkpoint"])
                _drop_from(trial.saved, event["epoch"])
                trial.saved[event["epoch"]] = event["checkpoint"]
            case "exploited":
                _move(trial, event)
            case "resumed":
                trial.state = TrialState.RUNNING
                trial.moving = True
            case "out_of_memory":
                trial.out_of_memory = event["error"]
            case "ended":
                trial.state = TrialState(event["state"])
                trial.error = event.get("error")
                trial.sampler_state = dict(event["sampler_state"])
                trial.ended = event["time"]
                trial.closed = True
                _pack_newest(trial)
                if self._open.pop(trial.number, None) is not None:
                    self._closed[trial.state] += 1

    def count(self, event: Event) -> None:
        """Count an event of a trial that is not kept, and that has ended by the last event.

        For studies whose configs have one run each.

        Args:
            event: with the keys event, time, trial, and state, attempt and gpus where the event has them.
        """
        self.spending.apply(event)
        if event["event"] in ("attempt", "created"):
            self.search_ended = None
        if event["event"] == "created":
            self.num_left_out += 1
            self.runs_of_config[event["trial"]] = [event["trial"]]
        if event["event"] == "ended":
            self._closed[TrialState(event["state"])] += 1

    @property
    def budget(self) -> Budget | None:
        """`budget` of the newest run."""
        return Budget.model_validate(self.limits["budget"]) if "budget" in self.limits else None

    def limit_lines(self) -> list[str]:
        """Why the search has ended and what is spent of its budget, for people; empty for a search without limits."""
        ended, budget = self.search_ended, self.budget
        spent = [] if budget is None else [f"budget spent: {spent_of(budget, self.spending)}"]
        if ended is None:
            return spent
        goes_on = "a smaller `stop_when`" if ended.by == "expected_regret" else "a larger budget"
        count = len(self.paused)
        with_paused = f" with {count} paused trial{'' if count == 1 else 's'}" if count else ""
        return [f"search ended: {ended.message}; {goes_on} goes on{with_paused}", *spent]

    @property
    def paused(self) -> list[TrialHistory]:
        """Trials that the end of the search has left unfinished; a larger budget goes on with them."""
        return [] if self.search_ended is None else self.with_state(TrialState.RUNNING, TrialState.PAUSED)

    def with_state(self, *states: TrialState) -> list[TrialHistory]:
        """Trials in any of these states, by number."""
        among = self.trials if set(states) & set(ENDED) else self._unclosed
        return [trial for _, trial in sorted(among.items()) if trial.state in states]

    def num_with_state(self, *states: TrialState) -> int:
        """How many trials are in any of these states."""
        if self._unclosed is self.trials:
            return sum(trial.state in states for trial in self.trials.values())
        unclosed = sum(trial.state in states for trial in self._open.values())
        return unclosed + sum(self._closed[state] for state in set(states))

    @property
    def _unclosed(self) -> dict[int, TrialHistory]:
        """The trials that may still change; all trials where some came here in another way than by events."""
        known = len(self._open) + self._closed.total() == len(self.trials) + self.num_left_out
        return self._open if known else self.trials


def _put_epoch(trial: TrialHistory, event: Event) -> None:
    """An epoch that is repeated after a restart replaces its earlier result and everything after it."""
    result = dict(event["result"])
    _drop_from(trial.epochs, result["epoch"])
    _drop_from(trial.saved, result["epoch"])
    while trial.exploits and trial.exploits[-1].epoch >= result["epoch"]:
        trial.exploits.pop()
    if trial.checkpoint is not None and trial.checkpoint[0] >= result["epoch"]:
        trial.checkpoint = None
    trial.host = event.get("host", trial.host)
    _pack_newest(trial)
    trial.epochs[result["epoch"]] = result | {
        "time": event["time"],
        "attempt": event["attempt"],
        "host": trial.host,
    }
    trial.test = event.get("test", trial.test)
    # The event of the last epoch already says that the trial has ended: a crash may prevent the `ended` event.
    trial.state = TrialState(event["state"])
    trial.ended = event["time"] if trial.state in ENDED else None
    if trial.state is TrialState.PAUSED:
        trial.paused_after = result["epoch"]
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
