"""Progress of a study, read from its storage on any machine, and following a study that runs elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from wsml_study.errors import ResultsError
from wsml_study.record.config_history import num_ended
from wsml_study.record.events import read_events, read_history
from wsml_study.record.history import StudyHistory
from wsml_study.record.lease import Driver, end_run, read_lease
from wsml_study.record.level_progress import level_state
from wsml_study.record.log_snapshot import read_brief_history
from wsml_study.record.measured import is_answer
from wsml_study.record.storage import CONFIRMATION, EVENTS, StudyStorage, open_results
from wsml_study.record.tables import PAUSED, read_table
from wsml_study.record.trial_history import TrialState
from wsml_study.record.wording import INTERRUPTED, describe, duration
from wsml_study.results.ranking import leading_trial
from wsml_study.study.budget_section import UNBOUNDED_TRIALS
from wsml_study.study.factors import num_runs
from wsml_study.study.fidelity import heading, num_levels
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study

if TYPE_CHECKING:
    from wsml_study.tuning.ledger import Listener

POLL_INTERVAL_S = 2.0
MOST_SHOWN = 100
"""Trials at work that have a line."""

KEPT = "What has ended is kept, and the last checkpoint of interrupted trials"
DRIVER_GONE_S = 15.0
"""A follower gives up when the lease has not been renewed for this long."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """Progress of a study.

    Attributes:
        study: as recorded in its folder.
        place: where it is kept.
        folder: the study's, or the local copy of it.
        history: of the full-size trials.
        driver: the process that holds the lease; None if the study is not running.
        confirmation: history of the study's confirmation; None before it begins.
        levels: histories of the levels below full size that have begun, by number from 1.
    """

    study: Study
    place: str
    folder: Path
    history: StudyHistory
    driver: Driver | None
    confirmation: StudyHistory | None = None
    levels: Mapping[int, StudyHistory] = field(default_factory=dict)

    @property
    def num_trials(self) -> int:
        """How many trials the study should have, at full size."""
        return max(self.history.num_trials or num_runs(self.study, self.study.full_size_trials), self.history.num_begun)

    @property
    def current(self) -> tuple[int, StudyHistory]:
        """The level at which the study is, and its history: the first one with trials left, or full size."""
        for number in range(1, num_levels(self.study)):
            history = self.levels.get(number, StudyHistory())
            if not level_state(self.study, number, history).has_ended:
                return number, history
        return num_levels(self.study), self.history

    @cached_property
    def state(self) -> str:
        """finished, running, or interrupted."""
        at_full_size = self.current[1] is self.history
        is_over = self.history.search_ended is not None or num_ended(self.history) >= self.num_trials
        if at_full_size and is_over:
            return "finished"
        return "running" if self.has_driver else "interrupted"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        best = self._best
        return {
            "study": self.study.name,
            "place": self.place,
            "state": self.state,
            "driver": None if self.driver is None else {"host": self.driver.host, "pid": self.driver.pid},
            "num_trials": None if self.num_trials >= UNBOUNDED_TRIALS else self.num_trials,
            "search_ended": None if self.history.search_ended is None else self.history.search_ended.message,
            "spent": {
                "hours": self.history.spending.of("hours"),
                "epochs": self.history.spending.epochs,
                "gpu_hours": self.history.spending.of("gpu_hours"),
            },
            "trials": {state.value: self.history.num_with_state(state) for state in TrialState},
            "best": None if best is None else {"trial": best[1], "value": best[0]},
            "level": self.current[0],
            "levels": [
                {"level": number, "num_trials": self.trials_of(number), "ended": num_ended(history)}
                for number, history in self.levels.items()
            ],
            "running": [
                {
                    "trial": trial.number,
                    "epoch": trial.last_epoch,
                    "attempt": trial.attempt,
                    "values": trial.values,
                    "host": trial.host,
                }
                for trial in self.current[1].with_state(TrialState.RUNNING)
            ],
            "confirmation": self._confirmed(),
        }

    def lines(self) -> list[str]:
        """The same for people."""
        unfinished = PAUSED if self.history.paused else INTERRUPTED
        words = {} if self.state == "running" else {TrialState.RUNNING.value: unfinished}
        counts = self.as_json()["trials"].items()
        by_state = ", ".join(f"{number} {words.get(state, state)}" for state, number in counts if number)
        of_all = "" if self.num_trials >= UNBOUNDED_TRIALS else f" of {self.num_trials}"
        lines = [
            f"{self.study.name} in {self.place}: {self._activity}",
            *self._level_lines(),
            f"trials: {num_ended(self.history)}{of_all} ended ({by_state or 'none begun'})",
            *self.history.limit_lines(),
        ]
        best = self._best
        if best is not None:
            values = describe(self._values_of(best[1]))
            objective = self.study.objective
            lines.append(f"best {objective.metric}: {objective.text(best[0])} by trial {best[1]} ({values})")
        at_work = self.current[1].with_state(TrialState.RUNNING)
        for trial in at_work[:MOST_SHOWN]:
            since = (
                ""
                if trial.started is None or self.state != "running"
                else f", for {duration(time.time() - trial.started)}"
            )
            again = f", attempt {trial.attempt}" if trial.attempt > 1 else ""
            host = "" if trial.host is None else f", on {trial.host}"
            lines.append(
                f"  trial {trial.number}: {describe(trial.values)}: epoch {trial.last_epoch}{again}{since}{host}"
            )
        if len(at_work) > MOST_SHOWN:
            lines.append(f"  and {len(at_work) - MOST_SHOWN:,} more; `--json` has all")
        if (confirmed := self._confirmed()) is not None:
            lines.append(f"confirmation: {confirmed['ended']} of {confirmed['num_trials']} runs ended")
        if self.state == "interrupted":
            lines.append(f"{KEPT}; `wsml-study run` goes on with it.")
        elif self._confirmation_is_open and not self.has_driver:
            lines.append(f"{KEPT}; `wsml-study confirm` goes on with it.")
        return lines

    @property
    def has_driver(self) -> bool:
        """Whether a process is at work on the study, as far as can be told from here."""
        return self.driver is not None and not self.driver.is_gone

    @property
    def _confirmation_is_open(self) -> bool:
        confirmed = self._confirmed()
        return confirmed is not None and confirmed["ended"] < confirmed["num_trials"]

    @property
    def _activity(self) -> str:
        """The state of the search, and of its confirmation while that has not ended; and who is at work."""
        who = f" by {self.driver.described}" if self.has_driver and self.driver is not None else ""
        if self.state == "finished" and self._confirmation_is_open:
            return f"search finished, confirmation {'running' if who else 'interrupted'}{who}"
        return f"{self.state}{who if self.state == 'running' else ''}"

    def _level_lines(self) -> list[str]:
        last = num_levels(self.study)
        return [level_state(self.study, number, history).line(last) for number, history in self.levels.items()]

    def trials_of(self, number: int) -> int:
        """How many trials a level is to have."""
        if number == num_levels(self.study):
            return self.num_trials
        return level_state(self.study, number, self.levels.get(number, StudyHistory())).num_trials

    def _confirmed(self) -> dict[str, int] | None:
        if self.confirmation is None:
            return None
        ended = num_ended(self.confirmation)
        return {"num_trials": self.confirmation.num_trials or len(self.confirmation.trials), "ended": ended}

    @cached_property
    def _best(self) -> tuple[float, int] | None:
        """Value and number of the trial that `results` ranks first; by the log where the tables do not fit it."""
        with suppress(ResultsError):  # there are no tables yet, or they are damaged
            leading = leading_trial(self.folder)
            if leading is not None and (leading[1] in self.history.trials or self.history.num_left_out):
                return leading
        objective = self.study.objective
        valued = [(trial.value(objective), trial) for trial in self.history.trials.values()]
        some = [(value, trial.number) for value, trial in valued if value is not None and is_answer(trial, objective)]
        return max(some, key=lambda pair: (objective.sign * pair[0], -pair[1]), default=None)

    def _values_of(self, number: int) -> dict[str, Any]:
        """Searched values of a trial; from the tables where the history leaves it out."""
        if number in self.history.trials:
            return self.history.trials[number].values
        table = read_table(self.folder, "trials", without=("config",))
        row = table.filter(pc.equal(table["trial"], number)).to_pylist()[0]
        values: dict[str, Any] = json.loads(row["values"])
        return values


def study_status(storage: str, name: str) -> Status:
    """Read the progress of a study.

    Raises:
        ResultsError: there is no such study.
    """
    place = open_results(storage, name)
    return _read(place, read_brief_history)


def stop_study(storage: str, name: str, *, notify: Callable[[str], None]) -> None:
    """Ask the driver of a study to stop after the current epochs, and wait until it has.

    Raises:
        ResultsError: no process runs the study, or it does not stop in time.
    """
    status = study_status(storage, name)
    if not status.has_driver:
        ended = f"{num_ended(status.history)} trials have ended"
        why = (
            f"this study has finished ({ended}), so there is nothing to stop"
            if status.state == "finished"
            else f"this study is not running ({ended}); `wsml-study run` resumes it"
        )
        raise ResultsError(f"{status.place}: {why}")
    end_run(storage, name, notify=notify)


def follow(storage: str, name: str, listener: Listener) -> Status:
    """Pass the events that a study's driver writes to a listener, until the study or its driver ends.

    Raises:
        ResultsError: there is no such study.
    """
    place = open_results(storage, name)
    status = _read(place, read_history)
    level, history = status.current
    listener.on_slots(len(history.with_state(TrialState.RUNNING)), status.trials_of(level), history)
    num_events, renewed_at = len(_events(_place_of(level, status, place))), time.monotonic()
    while status.state == "running" and time.monotonic() - renewed_at < DRIVER_GONE_S:
        time.sleep(POLL_INTERVAL_S)
        before, status = status, _read(place, read_history)
        if status.driver != before.driver:
            renewed_at = time.monotonic()
        num_events = _pass_on(level, status, place, listener, num_events)
        if status.current[0] != level:
            level, history = status.current
            listener.on_notice(heading(status.study, level))
            listener.on_slots(len(history.with_state(TrialState.RUNNING)), status.trials_of(level), history)
            num_events = _pass_on(level, status, place, listener, 0)
    return status


def _pass_on(level: int, status: Status, place: StudyStorage, listener: Listener, num_passed: int) -> int:
    """Pass on the events of a level after the first `num_passed`; returns how many there are now."""
    events = _events(_place_of(level, status, place))
    history = status.levels.get(level, status.history)
    for event in events[num_passed:]:
        if event.get("trial") in history.trials:  # the log may have grown since
            listener.on_event(history, event["event"], event["trial"])
    return len(events)


def _place_of(level: int, status: Status, place: StudyStorage) -> StudyStorage:
    return place if level == num_levels(status.study) else place.level(level)


def _read(place: StudyStorage, read: Callable[[Path], StudyHistory]) -> Status:
    """The progress of a study whose full-size history this function reads from its folder."""
    folder = place.fetch()
    confirmation = place.inside(CONFIRMATION)
    return Status(
        study=read_study(folder / "study.yaml"),
        place=place.described,
        folder=folder,
        history=read(folder),
        driver=read_lease(place),
        confirmation=read_history(confirmation.folder) if confirmation.folder.exists() else None,
        levels={number: read_history(level.folder) for number, level in enumerate(place.levels(), start=1)},
    )


def _events(place: StudyStorage) -> list[dict[str, Any]]:
    path = place.folder / EVENTS
    return read_events(path) if path.exists() else []
