"""SQL on a study's tables, through DuckDB."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from wsml_study.errors import ResultsError
from wsml_study.record.storage import CONFIRMATION, LEVELS
from wsml_study.record.tables import SCHEMAS, read_table


def query_study(folder: Path, sql: str) -> pa.Table:
    """What a query on the views trials, epochs and classes gives; a confirmation's are confirm_trials and so on,
    those of a level of fidelity level_1_trials and so on.

    Args:
        folder: of the study's results.
        sql: in DuckDB's dialect.

    Raises:
        ResultsError: DuckDB is not installed or refuses the query, or the folder holds no study's tables.
    """
    try:
        import duckdb
    except ImportError as error:
        raise ResultsError("queries need DuckDB, which is not installed: pip install 'wsml-study[sql]'") from error
    views = {name: read_table(folder, name) for name in SCHEMAS}
    if (folder / CONFIRMATION / "trials.parquet").exists():
        views |= {f"confirm_{name}": read_table(folder / CONFIRMATION, name) for name in SCHEMAS}
    for level in sorted((folder / LEVELS).glob("level_*")):
        views |= {f"{level.name}_{name}": read_table(level, name) for name in SCHEMAS}
    with duckdb.connect(config={"python_enable_replacements": "false"}) as connection:
        for name, table in views.items():
            connection.register(name, table)
        try:
            found = connection.sql(sql)
            answer: pa.Table | None = None if found is None else found.to_arrow_table()
        except duckdb.Error as error:
            raise ResultsError(f"DuckDB refuses the query: {error}\nthe tables are {', '.join(views)}") from error
    if answer is None:
        raise ResultsError("the query gives no rows; end with a SELECT")
    if repeated := [name for name in answer.column_names if answer.column_names.count(name) > 1]:
        raise ResultsError(f"two columns are called {repeated[0]}; name one of them with AS")
    return answer
