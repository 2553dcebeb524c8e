"""Tune's reports, written to the event log.

Tune runs callbacks before the scheduler's decision takes effect, and the slots receive it once the event is on disk
(`cluster/event_groups.py`). What is done here because of an event waits for that too, so a restart that replays the log
sees every decision that was made.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pyarrow import fs
from ray import tune
from ray.tune.result import SHOULD_CHECKPOINT

from wsml_study.errors import ResultsError
from wsml_study.record.event_log import EventLog
from wsml_study.record.history import StudyHistory
from wsml_study.record.kept_rows import kept_rows
from wsml_study.record.lease import Lease
from wsml_study.record.log_snapshot import write_snapshot
from wsml_study.record.storage import TABLE_FILES, StudyStorage
from wsml_study.record.tables import TableWriter
from wsml_study.record.trial_history import TrialState
from wsml_study.study.spec import Study
from wsml_study.tuning.pausing import Pausing
from wsml_study.tuning.population import Population
from wsml_study.tuning.searcher import ending_of
from wsml_study.tuning.trial_source import TrialSource
from wsml_study.workers.protocol import Assignment, StepReport

TABLES_INTERVAL_S = 2.0
TABLES_PAUSE_FACTOR = 50
"""Pause between two writings of the tables, as a multiple of the time that the last writing took."""
LONG_WRITING_S, LONG_WRITING_PAUSE_FACTOR = 0.25, 200

DELETING_AT_ONCE = 8
"""Checkpoints that are deleted at a time, beside the driver's own work: in an object store each takes tens of
milliseconds, and every epoch may leave one."""

LONGEST_ERROR = 500


class Listener(Protocol):
    """Receives the progress of a running study, such as the command line's display."""

    def on_phase(self, message: str) -> None:
        """A step that takes a while begins."""

    def on_notice(self, message: str) -> None:
        """A message for the user."""

    def on_images(self, done: int, total: int) -> None:
        """`done` of `total` images of a split are decoded into the store."""

    def on_preparation(self, message: str) -> None:
        """What the workers do before they can train; empty once they can."""

    def on_slots(self, slots: int, num_trials: int, history: StudyHistory) -> None:
        """Trials begin: `slots` at a time, `num_trials` in total; the history holds those of earlier runs."""

    def on_event(self, history: StudyHistory, event: str, number: int) -> None:
        """An event of a trial was written to the log and added to the history."""


class Ledger(tune.Callback):  # type: ignore[misc]
    """Writes Tune's reports to the event log, and updates the tables from it at intervals."""

    def __init__(
        self,
        study: Study,
        storage: StudyStorage,
        log: EventLog,
        lease: Lease,
        source: TrialSource,
        listener: Listener,
        population: Population | None = None,
        pausing: Pausing | None = None,
        gpus_per_trial: float = 0.0,
    ) -> None:
        self._gpus = gpus_per_trial
        self._storage, self._log, self._lease = storage, log, lease
        self._source, self._listener, self._population = source, listener, population
        self._pausing = pausing
        self._tables = TableWriter(storage.folder, study, kept_rows(storage.folder, study, log.history))
        self._tables_due = time.monotonic() + TABLES_INTERVAL_S
        self._deleting = ThreadPoolExecutor(DELETING_AT_ONCE, thread_name_prefix="delete")

    def close(self) -> None:
        """Wait until all that is to be deleted is gone."""
        self._deleting.shutdown()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        # Tune pickles its callbacks into an experiment snapshot that is never restored; an open log cannot be pickled.
        return tune.Callback, ()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A slot takes a trial, for the first time or again."""
        number = Assignment.of(trial.config).trial
        history = self._log.history.trials[number]
        self._append("attempt", number, attempt=history.attempt + (0 if history.moving else 1), gpus=self._gpus)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch ended."""
        number = Assignment.of(trial.config).trial
        report = StepReport.of(result)
        if report.notice is not None:
            self._listener.on_notice(f"trial {number}: {report.notice}")
        if report.out_of_memory is not None:
            self._append("out_of_memory", number, error=report.out_of_memory)
        if report.result is None:
            return
        history = self._log.history.trials[number]
        details: dict[str, Any] = {} if report.test is None else {"test": report.test}
        if report.host is not None and report.host != history.host:
            details["host"] = report.host
        takeover = None if self._population is None else self._population.pop(number)
        state = TrialState.RUNNING if takeover is not None else ending_of(result, error=False) or TrialState.RUNNING
        if state is TrialState.STOPPED and self._pausing is not None and self._pausing.may_go_on(number, report.epoch):
            state = TrialState.PAUSED
            result[SHOULD_CHECKPOINT] = self._pausing.has_state(Assignment.of(trial.config).config)
        self._append("epoch", number, attempt=history.attempt, result=report.result, state=state, **details)
        if takeover is not None:
            self._append("exploited", number, **asdict(takeover))
            result[SHOULD_CHECKPOINT] = False  # no trial resumes from the network that was replaced

    def on_checkpoint(self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any) -> None:
        """A checkpoint is complete in storage."""
        number = Assignment.of(trial.config).trial
        history = self._log.history.trials[number]
        before = history.checkpoint
        self._append("saved", number, epoch=history.last_epoch, checkpoint=checkpoint.path)
        if self._population is not None and before is not None and not self._population.compares_after(before[0]):
            # Tune keeps all checkpoints of a population; other trials only use those of epochs with a comparison.
            self._delete(trial, before[1])
        if self._population is None and before is not None:
            self._delete_replaced(trial, before[1])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended, or was cut short by the end of the run."""
        result = trial.last_result
        report, state = StepReport.of_last(result), ending_of(result, error=False)
        history = self._log.history.trials[Assignment.of(trial.config).trial]
        if state is None or history.moving:
            return
        if history.state is not TrialState.PAUSED:
            self._end(trial, state, None if report is None else report.error)
        self._end_hopeless(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed more often than it may be retried, or its slot was lost before it began there."""
        number = Assignment.of(trial.config).trial
        if self._source.goes_on(number):
            self._listener.on_notice(f"trial {number} was to begin in a slot that was lost; another slot takes it")
            return
        self._end(trial, TrialState.FAILED, _last_line(Path(trial.error_file)))

    def _end(self, trial: Any, state: TrialState, error: str | None) -> None:
        number = Assignment.of(trial.config).trial
        checkpoint = self._log.history.trials[number].checkpoint
        self._append("ended", number, state=state, error=error, sampler_state=self._source.sampler_state(number))
        if self._population is None:
            self._delete(trial, trial.storage.trial_fs_path)
            if checkpoint is not None:
                self._delete_elsewhere(trial, checkpoint[1])
        if time.monotonic() > self._tables_due:
            self._write_tables()

    def _end_hopeless(self, trial: Any) -> None:
        """End the paused trials that have no chance left to go on, and delete their checkpoints."""
        for paused in () if self._pausing is None else self._pausing.hopeless(self._source.in_slots):
            sampler_state = self._source.sampler_state(paused.number)
            self._append("ended", paused.number, state=TrialState.STOPPED, error=None, sampler_state=sampler_state)
            if paused.checkpoint is not None:
                self._delete_elsewhere(trial, paused.checkpoint[1])

    def _delete_replaced(self, trial: Any, checkpoint: str) -> None:
        """Delete a checkpoint that a newer one of the trial replaces; its whole folder if an earlier slot wrote it."""
        if str(PurePosixPath(checkpoint).parent) == trial.storage.trial_fs_path:
            self._delete(trial, checkpoint)
        else:
            self._delete_elsewhere(trial, checkpoint)

    def _delete_elsewhere(self, trial: Any, checkpoint: str) -> None:
        """Delete the folder with a checkpoint that a slot wrote for an earlier part of a trial.

        Only inside the study's scratch folder: that of a copied study may be the original's.
        """
        folder = PurePosixPath(checkpoint).parent
        inside = PurePosixPath(self._storage.scratch()[1]) in folder.parents
        if inside and str(folder) != trial.storage.trial_fs_path:
            self._delete(trial, str(folder))

    def _delete(self, trial: Any, folder: str) -> None:
        """Delete a folder in the background, once the events so far are durable."""
        filesystem = trial.storage.storage_filesystem

        def begin() -> None:
            self._deleting.submit(_delete, filesystem, folder)

        self._log.once_durable(begin)

    def _write_tables(self) -> None:
        """Write the tables, and schedule the next writing."""
        self._log.commit()
        started = time.monotonic()
        try:
            self._tables.write(self._log.history)
            self._storage.upload(*TABLE_FILES)
            write_snapshot(self._storage, self._log.history)
        except ResultsError as error:
            # Tune takes an error at the end of a trial for the trial's own and runs it again. The log refuses that.
            raise self._log.fail(error) from None
        ended = time.monotonic()
        # Tables of large studies take long to write, and no slot is answered meanwhile: the pause bounds their share of
        # the driver's time at 1 in 51, and at 1 in 201 where that is long for a slot to wait.
        took = ended - started
        factor = TABLES_PAUSE_FACTOR if took < LONG_WRITING_S else LONG_WRITING_PAUSE_FACTOR
        self._tables_due = ended + max(TABLES_INTERVAL_S, factor * took)

    def _append(self, event: str, number: int, **details: Any) -> None:
        self._lease.check()
        self._log.append(event, trial=number, **details)
        self._log.once_durable(partial(self._listener.on_event, self._log.history, event, number))


class StopOnRequest(tune.Stopper):  # type: ignore[misc]
    """Ends the whole run once `wsml-study stop` has requested it; never ends a single trial."""

    def __init__(self, lease: Lease | None = None) -> None:
        self._lease = lease

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial should end."""
        return False

    def stop_all(self) -> bool:
        """Whether the run should end."""
        return self._lease is not None and self._lease.stop_requested.is_set()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        # As in Ledger: a lease cannot be pickled.
        return StopOnRequest, ()


def _delete(filesystem: fs.FileSystem, folder: str) -> None:
    with suppress(OSError):
        filesystem.delete_dir(folder)


def _last_line(error_file: Path) -> str:
    """The last line of a traceback: type and message of the error."""
    lines = [line.strip() for line in error_file.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:LONGEST_ERROR]
