"""The history of a study: its state after all events of the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wsml_study.record.shared_sections import SharedSections
from wsml_study.record.spending import Spending, spent_of
from wsml_study.record.trial_history import ENDED, Event, Promotion, Repeat, TrialHistory, TrialState
from wsml_study.study.budget_section import Budget

RUN_KEYS = ("time", "environment", "data_fingerprint")


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
        paused_after: number of a config whose first run the early stopping rule has paused -> the epoch of the pause.
        lost: numbers of configs that have lost the race and get no further run.
        search_ended: why `budget` or `stop_when` ended the search; None while neither has, and once it goes on.
        limits: `budget` and `stop_when` of the newest run, as plain data.
        spending: hours, epochs and GPU hours of all runs.
        num_left_out: how many trials that have ended are counted and not in `trials` (`log_snapshot.py`).
        num_outcomes: epochs and ends that were applied so far; what rules decide changes with it alone.
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
    paused_after: dict[int, int] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    search_ended: SearchEnded | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    spending: Spending = field(default_factory=Spending)
    num_left_out: int = 0
    num_outcomes: int = field(default=0, repr=False, compare=False)
    _closed: Counter[TrialState] = field(default_factory=Counter, repr=False, compare=False)
    _open: dict[int, TrialHistory] = field(default_factory=dict, repr=False, compare=False)
    _sections: SharedSections = field(default_factory=SharedSections, repr=False, compare=False)

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
            history._note_pause(trial)
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
        match event["event"]:
            case "run":
                self._apply_run(event)
            case "start_points":
                self.start_points = tuple(event["points"])
            case "warm_start":
                self.observations = tuple(event["observations"])
            case "proposed":
                self.proposed |= dict(enumerate(event["proposals"], start=event["first"]))
            case "created":
                self._apply_created(event)
            case "lost":
                self.lost.add(event["config_number"])
            case "exhausted":
                self.exhausted = True
                self.num_trials = self.num_begun
            case "search_ended":
                self.search_ended = SearchEnded(by=event["by"], limit=event["limit"], message=event["message"])
                self.num_trials = len(self.trials) + self.num_left_out
            case _:
                self._apply_to_trial(self.trials[event["trial"]], event)

    def _apply_run(self, event: Event) -> None:
        """The study was started, for the first time or again."""
        self.limits = dict(event.get("limits", {}))
        self.classes = tuple(event["classes"])
        self.class_groups = tuple(event.get("class_groups", ()))
        self.judged_labels = dict(event.get("judged_labels", {}))
        self.runs = (*self.runs, {key: event[key] for key in RUN_KEYS if key in event})
        self.num_trials = event.get("num_trials")  # absent from logs of version 0.1
        self.runs_per_config = event.get("runs_per_config", 1)
        self.every_run = event.get("every_run", False)

    def _apply_created(self, event: Event) -> None:
        trial = TrialHistory(
            number=event["trial"],
            values=dict(event["values"]),
            config=self._sections.of(event["config"]),
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
        self.trials[trial.number] = self._open[trial.number] = trial
        self.proposed.pop(trial.of_config, None)
        self.runs_of_config.setdefault(trial.of_config, []).append(trial.number)

    def _apply_to_trial(self, trial: TrialHistory, event: Event) -> None:
        if trial.closed and trial.number not in self._open:  # logs of earlier versions may go on with it
            self._closed[trial.state] -= 1
            self._open[trial.number] = trial
        trial.apply(event)
        self.num_outcomes += event["event"] in ("epoch", "ended")
        self._note_pause(trial)
        if event["event"] == "ended" and self._open.pop(trial.number, None) is not None:
            self._closed[trial.state] += 1

    def _note_pause(self, trial: TrialHistory) -> None:
        if trial.state is TrialState.PAUSED:
            self.paused_after[trial.of_config] = trial.last_epoch
        elif trial.run == 0:
            self.paused_after.pop(trial.of_config, None)

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
