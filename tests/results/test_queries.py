"""What a query may do: read the study's tables, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from wsml_study.errors import ResultsError
from wsml_study.record.tables import SCHEMAS
from wsml_study.results.queries import query_study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, schema in SCHEMAS.items():
        pq.write_table(schema.empty_table(), tmp_path / f"{name}.parquet")
    return tmp_path


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
        "COPY (SELECT 1) TO '{folder}/made.csv'",
        "COPY (SELECT 1) TO '{folder}/made.csv'; SELECT 1",
        "EXPORT DATABASE '{folder}/made'",
        "ATTACH '{folder}/made.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET enable_external_access = true; SELECT 1",
        "CREATE TABLE made AS SELECT 1",
        "DROP VIEW trials",
        "SELECT 1; SELECT 2",
    ],
)
def test_a_query_reaches_no_file_and_changes_nothing(folder: Path, sql: str) -> None:
    (folder / "secret.csv").write_text("a\n1\n")
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(ResultsError, match=r"DuckDB refuses|expected one query|expected a query that only reads"):
        query_study(folder, sql.format(file=folder / "secret.csv", folder=folder))
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    "sql",
    [
        "FROM trials",
        "WITH t AS (SELECT trial FROM trials) SELECT count(*) FROM t",
        "DESCRIBE trials",
        "SUMMARIZE epochs",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "PIVOT epochs ON trial USING max(val_map)",
        "SELECT 1;",
    ],
)
def test_what_only_reads_is_answered(folder: Path, sql: str) -> None:
    query_study(folder, sql)
