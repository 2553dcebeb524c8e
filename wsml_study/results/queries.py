"""SQL on a study's tables by DuckDB: one read-only statement, in memory, without access to files or network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from wsml_study.errors import ResultsError
from wsml_study.record.label_tables import CORRECTIONS, DISTRUSTED
from wsml_study.record.storage import CONFIRMATION, LEVELS
from wsml_study.record.tables import SCHEMAS, read_table

SEALED = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "lock_configuration": "true",
}
"""Settings that deny a query access to files, network and extensions. `lock_configuration` must be the last: after it
no setting can be changed, so that a query cannot undo them."""

READING = ("SELECT", "EXPLAIN", "MULTI")
"""Allowed types of statements, as DuckDB names them; MULTI is PIVOT."""


def _check_reads(statements: Sequence[Any]) -> None:
    kinds = [statement.type.name for statement in statements]
    if len(kinds) > 1:
        raise ResultsError(f"expected one query, got {len(kinds)} statements; send them one by one")
    if kinds and kinds[0] not in READING:
        raise ResultsError(f"expected a query that only reads, such as SELECT, got {kinds[0]}; use -o to write a file")


def query_study(folder: Path, sql: str) -> pa.Table:
    """The result of a query on the views trials, epochs and classes.

    Further views are corrections and distrusted, where trials have kept labels that they corrected or distrusted.
    The views of a confirmation are confirm_trials and so on, those of a level of fidelity level_1_trials and so on.

    Args:
        folder: of the study's results.
        sql: one SELECT, or another read-only statement, in DuckDB's dialect.

    Raises:
        ResultsError: DuckDB is not installed or refuses the query, it is more than one statement or not read-only,
            or the folder has no tables of a study.
    """
    try:
        import duckdb
    except ImportError as error:
        raise ResultsError("queries need DuckDB, which is not installed: pip install 'wsml-study[sql]'") from error
    views = {name: read_table(folder, name) for name in SCHEMAS}
    if (folder / CONFIRMATION / "trials.parquet").exists():
        views |= {f"confirm_{name}": read_table(folder / CONFIRMATION, name) for name in SCHEMAS}
    for name, of_labels in {"corrections": CORRECTIONS, "distrusted": DISTRUSTED}.items():
        if kept := of_labels.trials(folder):
            views[name] = pa.concat_tables([of_labels.read(folder, trial) for trial in kept])
    for level in sorted((folder / LEVELS).glob("level_*")):
        views |= {f"{level.name}_{name}": read_table(level, name) for name in SCHEMAS}
    # Replacements would let a query read any variable of this process by its name, as if it were a table.
    with duckdb.connect(config={"python_enable_replacements": "false"}) as connection:
        for name, table in views.items():
            connection.register(name, table)
        for setting, value in SEALED.items():
            connection.execute(f"SET {setting} = {value}")
        try:
            _check_reads(connection.extract_statements(sql))
            found = connection.sql(sql)
            answer: pa.Table | None = None if found is None else found.to_arrow_table()
        except duckdb.Error as error:
            raise ResultsError(f"DuckDB refuses the query: {error}\nthe tables are {', '.join(views)}") from error
    if answer is None:
        raise ResultsError("the query gives no rows; end with a SELECT")
    if repeated := [name for name in answer.column_names if answer.column_names.count(name) > 1]:
        raise ResultsError(f"two columns are called {repeated[0]}; name one of them with AS")
    return answer
