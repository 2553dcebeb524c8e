"""What a study has spent so far: hours, epochs and GPU hours, counted from its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wsml_study.record.wording import duration
from wsml_study.study.budget_section import Budget

RUNNING = "running"


@dataclass(kw_only=True)
class Spending:
    """What a study's runs have spent.

    A run lasts from its first event to its last one: what a killed run did after its last event is unknown.

    Attributes:
        epochs: trained by all trials; an epoch that was repeated after a crash counts as often as it was reported.
        at_work: trial -> (start, GPUs) of the attempts that are in a slot; seconds since 1970.
    """

    epochs: int = 0
    at_work: dict[int, tuple[float, float]] = field(default_factory=dict)
    _seconds_before: float = 0.0
    _gpu_seconds_before: float = 0.0
    _started: float | None = None
    _newest: float = 0.0

    def apply(self, event: Mapping[str, Any]) -> None:
        """Add one event."""
        if event["event"] == "run":
            self._end_run()
            self._started = event.get("time", self._newest)  # absent from logs of version 0.1
        self._newest = event.get("time", self._newest)
        match event["event"]:
            case "attempt":
                self._leave(event["trial"])
                self.at_work[event["trial"]] = (event["time"], event.get("gpus") or 0.0)
            case "epoch":
                self.epochs += 1
                if event["state"] != RUNNING:
                    self._leave(event["trial"])
            case "ended":
                self._leave(event["trial"])
            case "search_ended":
                self._end_run()

    def seconds(self, now: float | None = None) -> float:
        """Seconds in which the study ran, until now in the run that is in progress, else until the last event."""
        return self._seconds_before + self._of_this_run(now)

    def gpu_seconds(self, now: float | None = None) -> float:
        """GPU seconds of trials in slots, until now or the last event."""
        until = self._newest if now is None else now
        return self._gpu_seconds_before + sum(max(0.0, until - at) * gpus for at, gpus in self.at_work.values())

    def of(self, limit: str, now: float | None = None) -> float:
        """What is spent of a limit of `Budget`, in its own unit."""
        match limit:
            case "hours":
                return self.seconds(now) / 3600
            case "gpu_hours":
                return self.gpu_seconds(now) / 3600
        return self.epochs

    def _of_this_run(self, now: float | None) -> float:
        # A clock that was set back must not give time back.
        return 0.0 if self._started is None else max(0.0, (self._newest if now is None else now) - self._started)

    def _leave(self, trial: int) -> None:
        started, gpus = self.at_work.pop(trial, (self._newest, 0.0))
        self._gpu_seconds_before += max(0.0, self._newest - started) * gpus

    def _end_run(self) -> None:
        for trial in list(self.at_work):
            self._leave(trial)
        self._seconds_before += self._of_this_run(None)
        self._started = None


def spent_of(budget: Budget, spending: Spending, now: float | None = None) -> str:
    """What is spent of each limit of a budget.

    >>> spent_of(Budget(hours=2, epochs=400), Spending(epochs=100))
    '0 s of 2 h 0 min (0%), 100 of 400 epochs (25%)'
    """
    parts = []
    for key, limit in budget.limits():
        spent = spending.of(key, now)
        text = {
            "hours": f"{duration(spent * 3600)} of {duration(limit * 3600)}",
            "epochs": f"{spent:g} of {limit:g} epochs",
            "gpu_hours": f"{spent:.3g} of {limit:g} GPU hours",
        }[key]
        parts.append(f"{text} ({spent / limit:.0%})")
    return ", ".join(parts)
