"""TensorBoard runs, one per trial: `tensorboard --logdir results/<study>/tensorboard`.

TensorBoard itself need not be installed where trials run.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from wsml_study.options import Value
from wsml_study.record.history import StudyHistory
from wsml_study.record.trial_history import ENDED, TrialHistory
from wsml_study.study.spec import Study
from wsml_study.tuning.tracking.event_files import Event, EventsWriter, SessionLog, Summary, hparams
from wsml_study.tuning.tracking.tracker import OBJECTIVE, parameters_of, scalars_of

FOLDER = "tensorboard"
HEADER_BYTES, CHECKSUM_BYTES = 12, 4


@dataclass
class _Run:
    """What the event files of a trial hold: epoch -> its time, and whether the end is written; `writer` while open."""

    epochs: dict[int, float] = field(default_factory=dict)
    ended: bool = False
    writer: EventsWriter | None = None


class TensorBoardRuns:
    """Writes a folder of event files per trial, with its hyperparameters and a scalar per epoch and metric."""

    called = "TensorBoard"

    def __init__(self, study: Study, folder: Path, asked: Value = True) -> None:
        self._objective, self._folder = study.objective, folder / FOLDER
        self._runs: dict[int, _Run] = {}

    def begin(self, history: StudyHistory) -> None:
        """Read the event files of earlier runs."""
        for number in history.trials:
            if self._folder_of(number).is_dir():
                self._runs[number] = _read(self._folder_of(number))

    def show(self, trial: TrialHistory) -> None:
        """Append the epochs that are not written yet; an epoch that ran again replaces itself and all later ones."""
        run = self._runs.setdefault(trial.number, _Run())
        if run.ended:
            return
        if run.writer is None:
            run.writer = self._opened(trial, is_new=not run.epochs)
        times = {epoch: float(result["time"]) for epoch, result in trial.epochs.items()}
        stale = [epoch for epoch, at in run.epochs.items() if times.get(epoch) != at]
        if stale:
            # SessionLog.START makes TensorBoard discard what it has read from this step on.
            run.writer.write_event(Event(step=min(stale), session_log=SessionLog(status=SessionLog.START)))
            run.epochs = {epoch: at for epoch, at in run.epochs.items() if epoch < min(stale)}
        for epoch in sorted(times.keys() - run.epochs.keys()):
            summary = Summary(value=[_scalar(name, value) for name, value in scalars_of(trial.epochs[epoch]).items()])
            run.writer.write_event(Event(wall_time=times[epoch], step=epoch, summary=summary))
            run.epochs[epoch] = times[epoch]
        if trial.state in ENDED:
            self._end(trial, run, run.writer)
        else:
            run.writer.flush()

    def close(self) -> None:
        """Close the files of trials that have not ended."""
        for run in self._runs.values():
            if run.writer is not None:
                run.writer.close()
                run.writer = None

    def _opened(self, trial: TrialHistory, *, is_new: bool) -> EventsWriter:
        folder = self._folder_of(trial.number)
        folder.mkdir(parents=True, exist_ok=True)
        # Two files of the same second must not have the same name.
        writer = EventsWriter(str(folder / "events"), filename_suffix=f".{time.time_ns()}")
        if is_new:
            experiment, start, _ = hparams(parameters_of(trial), {OBJECTIVE: 0.0})
            for summary in (experiment, start):
                writer.write_event(Event(wall_time=trial.started or time.time(), summary=summary))
        return writer

    def _end(self, trial: TrialHistory, run: _Run, writer: EventsWriter) -> None:
        _, _, summary = hparams({}, {})
        value = trial.value(self._objective)
        if value is not None:
            summary.value.append(_scalar(OBJECTIVE, value))  # in one record, so that a crash leaves both or neither
        writer.write_event(Event(wall_time=trial.ended or time.time(), step=trial.last_epoch, summary=summary))
        writer.close()
        run.ended, run.writer = True, None

    def _folder_of(self, number: int) -> Path:
        return self._folder / f"trial_{number:05d}"


def _scalar(name: str, value: float) -> Summary.Value:
    return Summary.Value(tag=name, simple_value=value)


def _read(folder: Path) -> _Run:
    """The epochs and the end in the event files of a trial."""
    run = _Run()
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda file: file.stat().st_mtime_ns):
        for event in _events(path.read_bytes()):
            if event.HasField("session_log"):
                run.epochs = {epoch: at for epoch, at in run.epochs.items() if epoch < event.step}
            tags = {value.tag for value in event.summary.value}
            if "_hparams_/session_end_info" in tags:
                run.ended = True
            elif event.step > 0 and tags:
                run.epochs[event.step] = event.wall_time
    return run


def _events(content: bytes) -> Iterator[Event]:
    """The complete records of an event file. A record is length, checksum, content, checksum (TFRecord)."""
    at = 0
    while at + HEADER_BYTES <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        start, at = at + HEADER_BYTES, at + HEADER_BYTES + length + CHECKSUM_BYTES
        if at > len(content):
            return  # a crash cut the record short
        yield Event.FromString(content[start : start + length])
