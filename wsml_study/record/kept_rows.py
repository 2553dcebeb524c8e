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
from wsml_study.record.tables import SCHEMAS, is_settled, read_table, standing, standings, tables_of
from wsml_study.study.spec import Study


def kept_rows(folder: Path, study: Study, history: StudyHistory) -> dict[str, pa.Table] | None:
    """Table name -> the rows of trials that had ended when the snapshot of the log was written, and of paused trials.

    None where the snapshot or the tables do not fit the log, another version wrote the tables, or the log is short and
    has no snapshot.

    Args:
        folder: of the study, with log, tables and snapshot.
        study: as it is run now.
        history: as the log tells it.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, ResultsError):
        end = read_snapshot_end(folder)
        for name, empty in tables_of(study, StudyHistory()).items():
            if not pq.read_schema(folder / f"{name}.parquet").equals(empty.schema):
                return None
        found = {
            number
            for number, said in standings(read_table(folder, "trials", without=["config", "values"])).items()
            if is_settled(history.trials[number]) and standing(history.trials[number]) == said
        }
        ended = {number for number in range(end.num_trials) if number not in end.unclosed}
        paused = {number for number in found if not history.trials[number].closed}
        numbers = pa.array(sorted(ended | paused), pa.int32())
        rows = {name: _of_trials(read_table(folder, name), numbers) for name in SCHEMAS}
        if ended <= found and sum(rows["trials"]["last_epoch"].to_pylist()) == len(rows["epochs"]):
            return rows
    return None


def _of_trials(table: pa.Table, numbers: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table["trial"], numbers))
