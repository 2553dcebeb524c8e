"""Reads a long event log whose ended trials are in the tables already: of their events only when they happened.

Reading the log of a study of 100,000 trials and making tables from it takes minutes. The snapshot (`log_snapshot.py`)
is written right after the tables. It says how far into the log both go, and which trials had not ended by then. The
events of all others need not be parsed: their results are in the tables, and the rest is kind, time and state.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wsml_study.errors import ResultsError
from wsml_study.record.events import add_event, located_events, without_collection
from wsml_study.record.history import StudyHistory
from wsml_study.record.log_snapshot import SnapshotEnd, read_snapshot_end
from wsml_study.record.storage import EVENTS
from wsml_study.record.tables import SCHEMAS, read_table, tables_of
from wsml_study.record.trial_history import ENDED, Event, TrialState
from wsml_study.study.spec import Study

HEAD = re.compile(rb'\{"event": "(\w+)", "number": (\d+), "time": ([\d.]+), "trial": (\d+)[,}]')
"""How the line of a trial's event begins."""

STATE = b'"state": "'

BRIEF = {kind.encode(): kind for kind in ("created", "attempt", "epoch", "saved", "resumed", "out_of_memory", "ended")}
"""Events that are not read as JSON where their trial has ended; but for `attempt`, whose lines are short."""

STATES = {state.value.encode(): state for state in TrialState}


class _OfNoUseError(Exception):
    """The log is not as the snapshot or the tables say."""


@dataclass(frozen=True, kw_only=True)
class BriefLog:
    """What is read of a long log.

    Attributes:
        events: oldest first; of trials in `left_out` they have the keys event, time and trial, and attempt or state.
        history: as after all events, without the trials in `left_out`, which it counts.
        left_out: numbers of the trials that had ended when the tables were written.
        tables: of all trials, as `tables_of` gives them.
    """

    events: list[Event]
    history: StudyHistory
    left_out: frozenset[int]
    tables: dict[str, pa.Table]


def read_brief_log(folder: Path, study: Study) -> BriefLog | None:
    """The log of a study and its tables, as `read_log` and `tables_of` give them but for the trials left out.

    None where the whole log has to be read: it is short or damaged, the snapshot or the tables do not fit it, or trials
    were evaluated on the test images, whose results are read from the history.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, ResultsError, _OfNoUseError):
        with without_collection():
            events, history, left_out = _read(folder / EVENTS, read_snapshot_end(folder))
        of_ended = {name: _only(read_table(folder, name), left_out) for name in SCHEMAS}
        if _fit(of_ended, left_out):
            of_others = tables_of(study, history)
            tables = {name: _together(of_ended[name], of_others[name]) for name in SCHEMAS}
            return BriefLog(events=events, history=history, left_out=left_out, tables=tables)
    return None


def _read(path: Path, end: SnapshotEnd) -> tuple[list[Event], StudyHistory, frozenset[int]]:
    """Read a log: its events, the history after them, and the trials that are left out.

    Raises:
        _OfNoUseError: the snapshot says that a trial had ended which goes on afterwards, or events are missing.
    """
    events: list[Event] = []
    history, left_out = StudyHistory(), set()
    before = 0
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file, end.num_bytes), start=1):
            before += 1
            event = _brief(line, end.unclosed)
            if event is None:
                ((_, event),) = located_events(path, line, lines=number - 1, before=before - 1)
                add_event(path, number, event, history)
            else:
                if event.pop("number") != before:
                    raise _OfNoUseError
                history.count(event)
                left_out.add(event["trial"])
            events.append(event)
        for number, event in located_events(path, file.read(), lines=before, before=before):
            if event.get("trial") in left_out:
                raise _OfNoUseError
            add_event(path, number, event, history)
            events.append(event)
    return events, history, frozenset(left_out)


def _lines(file: Any, num_bytes: int) -> Iterator[bytes]:
    """The lines in the first bytes of a file."""
    while num_bytes > 0:
        line = file.readline()
        num_bytes -= len(line)
        if num_bytes < 0 or not line.endswith(b"\n"):
            raise _OfNoUseError
        yield line


def _brief(line: bytes, unclosed: frozenset[int]) -> dict[str, Any] | None:
    """Kind, number, time and trial of the event of an ended trial, and its attempt or state; None for others."""
    head = HEAD.match(line)
    if head is None:
        return None
    kind, number, at, trial = head.groups()
    if kind not in BRIEF or int(trial) in unclosed:
        return None
    event: dict[str, Any] = {"event": BRIEF[kind], "number": int(number), "time": float(at), "trial": int(trial)}
    if kind == b"attempt":
        ((_, whole),) = located_events(Path(), line)
        return event | {"attempt": whole["attempt"], "gpus": whole.get("gpus")}
    if kind in (b"epoch", b"ended"):
        # An error can quote anything and stands behind the state; the result of an epoch stands before it.
        at_state = (line.find if kind == b"ended" else line.rfind)(STATE) + len(STATE)
        event["state"] = STATES[line[at_state : line.index(b'"', at_state)]]
    return event


def _only(table: pa.Table, trials: frozenset[int]) -> pa.Table:
    return table.filter(pc.is_in(table["trial"], pa.array(sorted(trials), pa.int32())))


def _fit(tables: dict[str, pa.Table], trials: frozenset[int]) -> bool:
    """Whether the tables hold these trials as ended, with all their epochs, and without tests."""
    found = tables["trials"]
    ended = pc.is_in(found["state"], pa.array([state.value for state in ENDED]))
    return (
        len(found) == len(trials)
        and bool(pc.all(ended).as_py() is not False)
        and (pc.sum(found["last_epoch"]).as_py() or 0) == len(tables["epochs"])
        and found["test_map"].null_count == len(found)
    )


def _together(one: pa.Table, other: pa.Table) -> pa.Table:
    """The rows of two tables, sorted by trial; the order within a trial is kept."""
    if not len(other):
        return one
    table = pa.concat_tables([one.select(other.column_names).cast(other.schema), other])
    return table.take(pc.sort_indices(table["trial"]))
