"""A snapshot of a long event log, from which `status` starts: what trials at work did, and how many others have ended.

To read the log of a study of 100,000 trials takes a minute, and most of it is of trials that have ended. The snapshot
leaves them out. It is written beside the tables and says how far into the log it goes; what follows is read from there.
It is never needed: without it, or where it does not fit the log, the log is read as a whole.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wsml_study.errors import ResultsError
from wsml_study.record.events import add_event, located_events, read_history
from wsml_study.record.history import SearchEnded, StudyHistory
from wsml_study.record.spending import Spending
from wsml_study.record.storage import EVENTS, SNAPSHOT, StudyStorage
from wsml_study.record.trial_history import TrialHistory, TrialState

LEAST_BYTES = 8 * 2**20
"""Shorter logs have no snapshot: they are read in less than a second."""

COMPARED_BYTES = 4096

OF_HISTORY = ("classes", "num_trials", "exhausted", "limits", "judged_labels")
OF_TRIAL = (
    *("number", "values", "attempt", "paused_after", "out_of_memory", "started", "starts", "host", "origin"),
    "computes",
)
OF_EPOCH = ("val_map", "best_val_map", "objective", "best_objective", "best_epoch")


def write_snapshot(storage: StudyStorage, history: StudyHistory) -> None:
    """Write the snapshot of a study whose log holds exactly the events of this history.

    No-op for a short log, and where trials are told from configs or exchange networks: such studies are small.

    Raises:
        ResultsError: it cannot be written.
    """
    path = storage.folder / EVENTS
    size = path.stat().st_size
    unclosed = history.unclosed
    if size < LEAST_BYTES or history.runs_per_config > 1 or any(trial.exploits for trial in unclosed):
        return
    content = {
        "bytes": size,
        "end": _end(path, size),
        "history": {name: getattr(history, name) for name in OF_HISTORY},
        "search_ended": None if history.search_ended is None else asdict(history.search_ended),
        "spending": vars(history.spending) | {"at_work": list(history.spending.at_work.items())},
        "closed": history.num_closed,
        "trials": [_trial(trial) for trial in unclosed],
    }
    storage.write(SNAPSHOT, json.dumps(content).encode())


def read_brief_history(folder: Path) -> StudyHistory:
    """The history of a study as `status` needs it: trials that had ended by the snapshot are counted only.

    Raises:
        ResultsError: as `read_history`.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, ResultsError):
        return _from_snapshot(folder)
    return read_history(folder)


@dataclass(frozen=True, kw_only=True)
class SnapshotEnd:
    """Where in the log a snapshot was written.

    Attributes:
        num_bytes: of the log until there.
        num_trials: that had been created; they are numbered from 0.
        unclosed: numbers of those that had not ended.
    """

    num_bytes: int
    num_trials: int
    unclosed: frozenset[int]


def read_snapshot_end(folder: Path) -> SnapshotEnd:
    """Where in the log of a study its snapshot was written, which is right after its tables were.

    Raises:
        OSError, ValueError, KeyError, TypeError: there is none, it is damaged, or of another log.
    """
    content, path = json.loads((folder / SNAPSHOT).read_bytes()), folder / EVENTS
    if _end(path, content["bytes"]) != content["end"]:
        raise ValueError(f"{folder / SNAPSHOT}: of another log")
    unclosed = frozenset(one["number"] for one in content["trials"])
    num_trials = sum(content["closed"].values()) + len(unclosed)
    return SnapshotEnd(num_bytes=content["bytes"], num_trials=num_trials, unclosed=unclosed)


def _from_snapshot(folder: Path) -> StudyHistory:
    """As `read_brief_history`; raises anything at all where the snapshot is of no use."""
    content, path = json.loads((folder / SNAPSHOT).read_bytes()), folder / EVENTS
    if _end(path, content["bytes"]) != content["end"]:
        raise ResultsError(f"{folder / SNAPSHOT}: of another log")
    spending = content["spending"] | {
        "at_work": {int(number): tuple(at) for number, at in content["spending"]["at_work"]}
    }
    closed = Counter({TrialState(state): count for state, count in content["closed"].items()})
    history = StudyHistory.of_open_trials(
        [_read_trial(one) for one in content["trials"]],
        closed,
        **content["history"] | {"classes": tuple(content["history"]["classes"])},
        search_ended=None if content["search_ended"] is None else SearchEnded(**content["search_ended"]),
        spending=_spending(spending),
    )
    with path.open("rb") as file:
        file.seek(content["bytes"])
        for number, event in located_events(path, file.read()):
            add_event(path, number, event, history)
    return history


def _trial(trial: TrialHistory) -> dict[str, Any]:
    kept = {name: getattr(trial, name) for name in OF_TRIAL}
    epochs = [[epoch, *(result.get(name) for name in OF_EPOCH)] for epoch, result in trial.epochs.items()]
    return kept | {"state": trial.state, "epochs": epochs}


def _read_trial(content: dict[str, Any]) -> TrialHistory:
    epochs: dict[int, Mapping[str, Any]] = {
        epoch: dict(zip(OF_EPOCH, values, strict=True)) for epoch, *values in content.pop("epochs")
    }
    return TrialHistory(config={}, state=TrialState(content.pop("state")), epochs=epochs, **content)


def _spending(fields: dict[str, Any]) -> Spending:
    spending = Spending()
    for name, value in fields.items():
        setattr(spending, name, value)
    return spending


def _end(path: Path, size: int) -> str:
    """A digest of the last bytes before `size`."""
    with path.open("rb") as file:
        file.seek(max(0, size - COMPARED_BYTES))
        return hashlib.sha256(file.read(min(size, COMPARED_BYTES))).hexdigest()
