"""A study as the live page shows it, kept up to date with what is appended to its logs."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsml_study.errors import ResultsError, WsmlStudyError
from wsml_study.live.found_studies import STUDY_FILE, FoundStudy
from wsml_study.live.offered_commands import offers
from wsml_study.live.remote_copy import RemoteCopy
from wsml_study.record.config_history import num_ended
from wsml_study.record.growing_log import GrowingLog
from wsml_study.record.lease import EXPIRY_S, Driver, read_lease
from wsml_study.record.storage import ANSWERS, CONFIRMATION, EVENTS, LEVELS, TABLE_FILES, StudyStorage
from wsml_study.record.trial_history import TrialHistory, TrialState
from wsml_study.record.wording import describe
from wsml_study.results.slot_times import last_epoch_of
from wsml_study.results.study_results import StudyRecord, record_of
from wsml_study.results.time_left import WorkLeft
from wsml_study.results.timeline import SlotsInUse
from wsml_study.study.budget_section import UNBOUNDED_TRIALS
from wsml_study.study.fidelity import num_levels
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study
from wsml_study.tuning.status import Status

INTERVAL_S = 1.0
PAUSE_FACTOR = 150
"""Pause between two looks at a study, as a multiple of the CPU time of the last: at most 0.7 % of a core."""

AT_WORK = ("running", "confirming")
"""States in which a driver is at work."""

Files = dict[Path, tuple[int, int] | None]
Plain = dict[str, Any]
"""Plain data, as JSON has it."""


class Part:
    """The log of a study, of its confirmation or of a level of fidelity, and what follows from it as it grows."""

    def __init__(self, log: GrowingLog) -> None:
        self.log = log
        self.slots = SlotsInUse()
        self._history = log.history
        self._work: WorkLeft | None = None

    def read(self) -> None:
        """Read what is new."""
        new = self.log.read()
        if self.log.history is not self._history:
            self.slots, self._work, self._history = SlotsInUse(), None, self.log.history
        for event in new:
            self.slots.apply(event)

    def seconds_left(self, study: Study, num_trials: int | None) -> tuple[float | None, float | None]:
        """Seconds of the search that are left, and of the confirmation after it; None where they are not known."""
        history = self.log.history
        slots = max(1, len(history.with_state(TrialState.RUNNING)))
        self._work = self._work or WorkLeft(study)
        now = time.time()
        left = self._work.search_seconds(history, num_trials=num_trials, slots=slots, now=now)
        return left, self._work.confirmation_seconds(history, slots=slots, now=now)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A study at a moment.

    Attributes:
        version: grows with every change of the study's results.
        overview: what `wsml-study status` says, as plain data, with what the page shows besides.
        error: why the study cannot be read; None while it can.
    """

    version: int
    overview: Plain
    error: str | None = None

    @property
    def at_work(self) -> bool:
        """Whether a driver is at work on the study."""
        return self.overview["state"] in AT_WORK


@dataclass(frozen=True, kw_only=True)
class Results:
    """All results of a study.

    Attributes:
        version: as of a snapshot.
        record: as the report reads them.
        at_work: the study runs now; otherwise unfinished trials are called interrupted.
    """

    version: int
    record: StudyRecord
    at_work: bool


class FollowedStudy:
    """Reads what is new in a study whenever it is asked, but no more often than costs little.

    What the logs hold stays in memory only while the study is at work.
    """

    def __init__(self, found: FoundStudy) -> None:
        self.found = found
        self._lock = threading.RLock()
        self._copy = RemoteCopy(found.place)
        self._study: tuple[Any, Study] | None = None
        self._parts: dict[str, Part] = {}
        self._files: Files | None = None
        self._driver: tuple[Driver | None, float] = (None, 0.0)
        self._due = 0.0
        self._snapshot: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """The newest state, at most `INTERVAL_S`, or 150 times the CPU time that reading it takes, old."""
        if self._snapshot is not None and time.monotonic() < self._due:
            return self._snapshot
        if not self._lock.acquire(blocking=self._snapshot is None):
            assert self._snapshot is not None
            return self._snapshot  # another thread is at it
        try:
            if self._snapshot is None or time.monotonic() >= self._due:
                is_first = self._snapshot is None  # it reads the whole log, the next one what was appended
                started = time.thread_time()
                self._snapshot = self._read(self._snapshot)
                took = 0.0 if is_first else time.thread_time() - started
                self._due = time.monotonic() + max(INTERVAL_S, PAUSE_FACTOR * took)
            return self._snapshot
        finally:
            self._lock.release()

    def look_again(self) -> None:
        """Let the next `snapshot` read, whatever it costs: a command has changed something."""
        self._due = 0.0

    def results(self) -> Results:
        """All results, as the report reads them.

        Raises:
            ResultsError, StudyFileError: the study cannot be read.
        """
        with self._lock:
            snapshot = self.snapshot()
            if snapshot.error is not None:
                raise ResultsError(snapshot.error)
            log = self._read_parts()[""].log
            record = record_of(self.found.place.folder, self._study_file(), list(log.events), log.history)
            self._forget_unless(snapshot.at_work)
            return Results(version=snapshot.version, record=record, at_work=snapshot.at_work)

    def _read(self, before: Snapshot | None) -> Snapshot:
        version = 0 if before is None else before.version
        try:
            self._copy.update()
            files, driver = self._stats(), self._live_driver()
            has_changed = files != self._files
            self._files = files
            if before is not None and not has_changed and driver is None and not before.at_work:
                return before
            overview, error = self._overview(self._status(driver)), None
            has_changed = has_changed or before is None or before.overview["state"] != overview["state"]
        except (WsmlStudyError, OSError) as found:
            overview, error = {"state": "unreadable", "error": str(found), "name": self.found.name}, str(found)
            has_changed = before is None or before.error != error
            self._files = None  # reads anew next time: a bucket may be reached again
        snapshot = Snapshot(version=version + has_changed, overview=overview, error=error)
        self._forget_unless(snapshot.at_work)
        return snapshot

    def _forget_unless(self, at_work: bool) -> None:
        if not at_work:
            self._parts.clear()

    def _stats(self) -> Files:
        """Size and time of the last change of every file that what is shown depends on."""
        folder = self.found.place.folder
        logs = [folder / name / EVENTS for name in self._names()]
        documents = [folder / name for name in (STUDY_FILE, ANSWERS, *TABLE_FILES)]
        return {path: _stat(path) for path in (*logs, *documents)}

    def _names(self) -> list[str]:
        """Where the logs are, in the study's folder: its own, those of the levels below full size in order, and the
        confirmation's."""
        levels = [level.folder.name for level in StudyStorage(folder=self.found.place.folder, remote=None).levels()]
        return ["", *(f"{LEVELS}/{name}" for name in levels), CONFIRMATION]

    def _read_parts(self) -> dict[str, Part]:
        for name in self._names():
            part = self._parts.setdefault(name, Part(GrowingLog(self.found.place.folder / name / EVENTS)))
            part.read()
        return self._parts

    def _status(self, driver: Driver | None) -> Status:
        parts = self._read_parts()
        levels = [part for name, part in parts.items() if name.startswith(LEVELS)]
        confirmation = parts[CONFIRMATION].log
        return Status(
            study=self._study_file(),
            place=self.found.place.described,
            folder=self.found.place.folder,
            history=parts[""].log.history,
            driver=driver,
            confirmation=confirmation.history if confirmation.path.exists() else None,
            levels={number: part.log.history for number, part in enumerate(levels, start=1)},
        )

    def _study_file(self) -> Study:
        path = self.found.place.folder / STUDY_FILE
        stat = _stat(path)
        if self._study is None or self._study[0] != stat:
            self._study = stat, read_study(path)
        return self._study[1]

    def _live_driver(self) -> Driver | None:
        """The driver that holds the lease; None once it has ended, or has not renewed the lease for `EXPIRY_S`."""
        driver, now = read_lease(self.found.place), time.monotonic()
        if driver != self._driver[0]:
            self._driver = driver, now
        if driver is None or driver.is_gone or now - self._driver[1] > EXPIRY_S:
            return None
        return driver

    def _overview(self, status: Status) -> Plain:
        found = status.as_json()
        state = activity_of(status)
        left, later = self._left(status) if state in AT_WORK else (None, None)
        name, part = self._part_at_work(status)
        objective = status.study.objective
        best = found["best"]
        return {
            "name": self.found.name,
            "place": status.place,
            "error": None,
            "state": state,
            "driver": None if status.driver is None else status.driver.described,
            "dataset": status.study.data.dataset.value,
            "metric": objective.label,
            "what": "configs" if status.history.counts_configs else "trials",
            "ended": num_ended(status.history),
            "num_trials": found["num_trials"],
            "counts": found["trials"],
            "best": None
            if best is None
            else {
                "trial": best["trial"],
                "text": objective.text(best["value"]),
                "values": describe(status.history.trials[best["trial"]].values),
            },
            "left_s": left,
            "later_s": later,
            "level": found["level"] if num_levels(status.study) > 1 else None,
            "confirmation": found["confirmation"],
            "lines": status.lines(),
            "running": self._running(status, part),
            "offers": [one.as_json() for one in offers(self.found, status, state=state, has_value=best is not None)],
            "of_confirmation": name == CONFIRMATION,
            "changed": _last_time(part.log),
        }

    def _part_at_work(self, status: Status) -> tuple[str, Part]:
        if activity_of(status) == "confirming":
            return CONFIRMATION, self._parts[CONFIRMATION]
        level = status.current[0]
        name = "" if level == num_levels(status.study) else f"{LEVELS}/level_{level}"
        return (name, self._parts[name]) if name in self._parts else ("", self._parts[""])  # it has not begun yet

    def _left(self, status: Status) -> tuple[float | None, float | None]:
        name, part = self._part_at_work(status)
        if name == CONFIRMATION:
            study = read_study(self.found.place.folder / CONFIRMATION / STUDY_FILE)
            return part.seconds_left(study, part.log.history.num_trials)[0], None
        if name:
            return None, None  # the levels to come have no epochs yet to go by
        unbounded = status.num_trials >= UNBOUNDED_TRIALS
        return part.seconds_left(status.study, None if unbounded else status.num_trials)

    def _running(self, status: Status, part: Part) -> list[Plain]:
        if status.driver is None:
            return []
        objective = status.study.objective
        trials = part.log.history.with_state(TrialState.RUNNING)
        return [
            {
                "trial": trial.number,
                "slot": part.slots.of_trial[trial.number] + 1 if trial.number in part.slots.of_trial else None,
                "host": trial.host,
                "values": describe(trial.values),
                "epoch": trial.last_epoch,
                "epochs": _num_epochs(trial),
                "attempt": trial.attempt,
                "value": None if (value := trial.value(objective)) is None else objective.text(value),
                "started": trial.starts[-1] if trial.starts else None,
            }
            for trial in trials
        ]


def activity_of(status: Status) -> str:
    """finished, running, interrupted, or confirming: a driver is at work on a study whose search has ended."""
    if status.state == "finished" and status.driver is not None:
        return "confirming" if status.confirmation is not None else "running"
    return status.state


def _num_epochs(trial: TrialHistory) -> int | None:
    with suppress(KeyError, ValueError):  # the config of a log that was edited by hand
        return last_epoch_of(trial)
    return None


def _last_time(log: GrowingLog) -> float | None:
    return None if not log.events else float(log.events[-1]["time"])


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
