"""Times of trials and runs, from the events: attempts, slots and device time."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from wsml_study.record.trial_history import Event, TrialState

CUT_SHORT = "cut short"
"""Outcome of an attempt that was interrupted by a crash or the end of a run."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt to run a trial, and its outcome; times in seconds since 1970.

    Attributes:
        number: of the attempt, from 1.
        outcome: a `TrialState`, or `CUT_SHORT`.
    """

    trial: int
    number: int
    started: float
    ended: float
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Span:
    """A run of the study, from its start to its last event; in seconds since 1970."""

    started: float
    ended: float


def attempts(events: Iterable[Event]) -> list[Attempt]:
    """All attempts of all trials, in the order of their starts.

    An attempt ends with the event that ends its trial. An interrupted one ends with its own last event if its trial
    starts again in the same run, otherwise with the last event of the run.
    """
    open_: dict[int, Attempt] = {}
    done: list[Attempt] = []
    now = 0.0
    for event in _in_order(events):
        if event["event"] == "run":
            done += [replace(attempt, ended=now, outcome=CUT_SHORT) for attempt in open_.values()]
            open_.clear()
        now = event["time"]
        match event["event"]:
            case "attempt":
                if event["trial"] in open_:
                    done.append(replace(open_.pop(event["trial"]), outcome=CUT_SHORT))
                open_[event["trial"]] = Attempt(
                    trial=event["trial"],
                    number=event["attempt"],
                    started=now,
                    ended=now,
                    outcome=TrialState.RUNNING.value,
                )
            case "epoch" | "saved" | "ended" if event["trial"] in open_:
                attempt = replace(open_[event["trial"]], ended=now)
                open_[event["trial"]] = attempt
                state = event.get("state", TrialState.RUNNING)
                if state != TrialState.RUNNING:
                    done.append(replace(open_.pop(event["trial"]), outcome=str(state)))
    done += [replace(attempt, ended=now) for attempt in open_.values()]
    return sorted(done, key=lambda attempt: (attempt.started, attempt.trial))


def slots(tries: Sequence[Attempt]) -> list[int]:
    """A slot, from 0, for each attempt: the lowest that is free when it starts.

    Args:
        tries: in the order of their starts.
    """
    in_use: list[tuple[float, int]] = []
    free: list[int] = []
    num_slots = 0
    taken = []
    for attempt in tries:
        while in_use and in_use[0][0] <= attempt.started:
            heapq.heappush(free, heapq.heappop(in_use)[1])
        if not free:
            heapq.heappush(free, num_slots)
            num_slots += 1
        slot = heapq.heappop(free)
        heapq.heappush(in_use, (attempt.ended, slot))
        taken.append(slot)
    return taken


class SlotsInUse:
    """Which slot each trial is in, as events come; slots are numbered as by `slots`.

    Attributes:
        of_trial: number of a trial -> its slot, from 0, while it is in one.
    """

    def __init__(self) -> None:
        self.of_trial: dict[int, int] = {}

    def apply(self, event: Event) -> None:
        """Add one event."""
        match event["event"]:
            case "run":
                self.of_trial.clear()
            case "attempt":
                self.of_trial.pop(event["trial"], None)
                taken = set(self.of_trial.values())
                self.of_trial[event["trial"]] = next(slot for slot in count() if slot not in taken)
            case "epoch" | "ended" if event.get("state", TrialState.RUNNING) != TrialState.RUNNING:
                self.of_trial.pop(event["trial"], None)


def spans(events: Iterable[Event]) -> list[Span]:
    """The runs of a study, oldest first."""
    found: list[Span] = []
    for event in _in_order(events):
        if event["event"] == "run" or not found:
            found.append(Span(started=event["time"], ended=event["time"]))
        found[-1] = replace(found[-1], ended=event["time"])
    return found


def _in_order(events: Iterable[Event]) -> Iterator[Event]:
    """The events with times that never go back: after a clock was set back, time stands still until it catches up."""
    latest = -math.inf
    for event in events:
        latest = max(latest, event["time"])
        yield {**event, "time": latest}


def working_time(runs: Sequence[Span], time: float) -> float:
    """Seconds that the study was running until a time, without the pauses between runs."""
    return sum(max(min(run.ended, time) - run.started, 0.0) for run in runs)


def busy_seconds(tries: Iterable[Attempt], time: float) -> float:
    """Total seconds of all attempts until a time."""
    return sum(max(min(attempt.ended, time) - attempt.started, 0.0) for attempt in tries)
