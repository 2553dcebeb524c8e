"""Where a study stands, seen from any machine that sees its storage, and following it from there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsml_study.errors import ResultsError
from wsml_study.results.events import read_events
from wsml_study.results.history import ENDED, StudyHistory, TrialState
from wsml_study.results.storage import CONFIRMATION, EVENTS, StudyStorage, open_storage
from wsml_study.results.wording import describe, duration
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study
from wsml_study.tuning.lease import Driver, read_lease

if TYPE_CHECKING:
    from wsml_study.tuning.ledger import Listener

LOOK_INTERVAL_S = 2.0
DRIVER_GONE_S = 15.0
"""A lease that nobody renews for so long makes a follower give up."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """A study at a glance.

    Attributes:
        study: as its folder has it.
        place: where it is kept.
        history: what happened so far.
        driver: who says that it runs the study, None if nobody does.
        confirmation: what happened in the study's confirmation, None before that.
    """

    study: Study
    place: str
    history: StudyHistory
    driver: Driver | None
    confirmation: StudyHistory | None = None

    @property
    def num_trials(self) -> int:
        """How many trials the study should have."""
        return max(self.history.num_trials or self.study.trials, len(self.history.trials))

    @property
    def state(self) -> str:
        """finished, running, or interrupted."""
        if len(self.history.with_state(*ENDED)) >= self.num_trials:
            return "finished"
        return "interrupted" if self.driver is None or self.driver.is_gone else "running"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        best = self._best()
        return {
            "study": self.study.name,
            "place": self.place,
            "state": self.state,
            "driver": None if self.driver is None else {"host": self.driver.host, "pid": self.driver.pid},
            "num_trials": self.num_trials,
            "trials": {state.value: len(self.history.with_state(state)) for state in TrialState},
            "best": None if best is None else {"trial": best[1], "value": best[0]},
            "running": [
                {"trial": trial.number, "epoch": trial.last_epoch, "attempt": trial.attempt, "values": trial.values}
                for trial in self.history.with_state(TrialState.RUNNING)
            ],
            "confirmation": self._confirmed(),
        }

    def lines(self) -> list[str]:
        """The same for people."""
        by_state = ", ".join(f"{number} {state}" for state, number in self.as_json()["trials"].items() if number)
        who = f" by {self.driver.described}" if self.state == "running" and self.driver is not None else ""
        lines = [
            f"{self.study.name} in {self.place}: {self.state}{who}",
            f"trials: {len(self.history.with_state(*ENDED))} of {self.num_trials} ended ({by_state or 'none begun'})",
        ]
        best = self._best()
        if best is not None:
            values = describe(self.history.trials[best[1]].values)
            lines.append(f"best {self.study.objective.metric}: {best[0]:.2f} % by trial {best[1]} ({values})")
        for trial in self.history.with_state(TrialState.RUNNING):
            since = (
                ""
                if trial.started is None or self.state != "running"
                else f", for {duration(time.time() - trial.started)}"
            )
            again = f", attempt {trial.attempt}" if trial.attempt > 1 else ""
            lines.append(f"  trial {trial.number}: {describe(trial.values)}: epoch {trial.last_epoch}{again}{since}")
        if (confirmed := self._confirmed()) is not None:
            lines.append(f"confirmation: {confirmed['ended']} of {confirmed['num_trials']} runs ended")
        if self.state == "interrupted":
            lines.append("Nothing is lost; `wsml-study run` goes on with it.")
        return lines

    def _confirmed(self) -> dict[str, int] | None:
        if self.confirmation is None:
            return None
        ended = len(self.confirmation.with_state(*ENDED))
        return {"num_trials": self.confirmation.num_trials or len(self.confirmation.trials), "ended": ended}

    def _best(self) -> tuple[float, int] | None:
        metric = self.study.objective.metric
        values = ((trial.value(metric), trial.number) for trial in self.history.trials.values())
        return max(((value, number) for value, number in values if value is not None), default=None)


def study_status(storage: str, name: str) -> Status:
    """Look at a study.

    Raises:
        ResultsError: there is none.
    """
    place = open_storage(storage, name)
    if not place.exists():
        raise ResultsError(f"{place.described}: no results of study {name} yet; `wsml-study run` makes them")
    return _look(place)


def follow(storage: str, name: str, listener: Listener) -> Status:
    """Tell a listener of everything that a study's driver writes, until the study or its driver ends.

    Raises:
        ResultsError: there is no such study.
    """
    status = study_status(storage, name)
    place = open_storage(storage, name)
    listener.on_slots(len(status.history.with_state(TrialState.RUNNING)), status.num_trials, status.history)
    num_events, renewed_at = len(_events(place)), time.monotonic()
    while status.state == "running" and time.monotonic() - renewed_at < DRIVER_GONE_S:
        time.sleep(LOOK_INTERVAL_S)
        before, status = status, _look(place)
        if status.driver != before.driver:
            renewed_at = time.monotonic()
        events = _events(place)
        for event in events[num_events:]:
            if "trial" in event:
                listener.on_event(status.history, event["event"], event["trial"])
        num_events = len(events)
    return status


def _look(place: StudyStorage) -> Status:
    folder = place.fetch()
    confirmation = place.inside(CONFIRMATION)
    return Status(
        study=read_study(folder / "study.yaml"),
        place=place.described,
        history=StudyHistory.replay(_events(place)),
        driver=read_lease(place),
        confirmation=StudyHistory.replay(_events(confirmation)) if confirmation.folder.exists() else None,
    )


def _events(place: StudyStorage) -> list[dict[str, Any]]:
    path = place.folder / EVENTS
    return read_events(path) if path.exists() else []
