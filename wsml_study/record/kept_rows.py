"""The rows of a long study's tables that a resumed driver takes from the files: to build all anew takes it a minute.

Only while the study runs. When it ends, its tables are made from the event log alone.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wsml_study.errors import ResultsError
from wsml_study.record.history import StudyHistory
from wsml_study.record.log_snapshot import read_snapshot_end
from wsml_study.record.tables import read_table, tables_of
from wsml_study.study.spec import Study


def kept_rows(folder: Path, study: Study, history: StudyHistory) -> dict[str, pa.Table] | None:
    """Table name -> the rows of trials that had ended when the snapshot of the log was written.

    None where the snapshot or the tables do not fit the log, another version wrote the tables, or the log is short and
    has no snapshot.

    Args:
        folder: of the study, with log, tables and snapshot.
        study: as it is run now.
        history: as the log tells it.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, ResultsError):
        end = read_snapshot_end(folder)
        ended = [number for number in range(end.num_trials) if number not in end.unclosed]
        numbers = pa.array(ended, pa.int32())
        rows = {}
        for name, empty in tables_of(study, StudyHistory()).items():
            if not pq.read_schema(folder / f"{name}.parquet").equals(empty.schema):
                return None
            table = read_table(folder, name)
            rows[name] = table.filter(pc.is_in(table["trial"], numbers))
        if _fit(rows, ended, history):
            return rows
    return None


def _fit(rows: dict[str, pa.Table], ended: list[int], history: StudyHistory) -> bool:
    """Whether the log says of these trials, by number, that they ended as the rows say, after as many epochs."""
    trials = [history.trials[number] for number in ended]
    found = rows["trials"].select(["trial", "state", "last_epoch"]).to_pydict()
    return (
        all(trial.closed for trial in trials)
        and found["trial"] == ended
        and found["state"] == [str(trial.state) for trial in trials]
        and found["last_epoch"] == [trial.last_epoch for trial in trials]
        and sum(found["last_epoch"]) == len(rows["epochs"])
    )
