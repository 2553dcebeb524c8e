"""Tables as others read them: pandas, polars, DuckDB, Python, and releases to come."""

import subprocess
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import wsml_study
from tests.sample_studies.first_release import write_first_release
from wsml_study.errors import ResultsError
from wsml_study.record.tables import EPOCHS, SCHEMAS, TRIALS, read_table
from wsml_study.results.queries import query_study
from wsml_study.results.trial_filter import select_trials


@pytest.mark.parametrize("table", SCHEMAS)
def test_pandas_polars_and_duckdb_read_the_same_rows(folder, table):
    path = folder / f"{table}.parquet"
    rows = read_table(folder, table).to_pylist()
    with_pandas = pd.read_parquet(path, dtype_backend="pyarrow")
    assert pa.Table.from_pandas(with_pandas).to_pylist() == rows
    assert pl.read_parquet(path).to_dicts() == rows
    assert duckdb.sql(f"SELECT * FROM '{path}'").to_arrow_table().to_pylist() == rows


def test_python_gives_pandas_and_arrow(folder):
    results = wsml_study.load(folder)
    assert results.study.name == "told"
    assert results.ranked["trial"].tolist() == [1, 0, 3, 2]
    assert results.epochs.groupby("trial")["val_map"].max().to_dict() == {0: 60.0, 1: 70.0, 3: 52.0}
    assert results.classes["class"].unique().tolist() == ["cat", "dog"]
    assert results.arrow("epochs").schema.equals(EPOCHS, check_metadata=True)
    assert results.confirmation is None
    with pytest.raises(ValueError, match="expected one of trials, epochs, classes, got 'runs'"):
        results.arrow("runs")


def test_a_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(ResultsError, match="nowhere: no results of study nowhere yet"):
        wsml_study.load(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match=r"expected the folder of a study's results"):
        wsml_study.load(f"{tmp_path}/")


def test_importing_the_package_imports_nothing_else():
    program = "import sys; before = set(sys.modules); import wsml_study; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pandas", "pyarrow", "pydantic", "ray", "scipy", "torch", "wsml_study.results"}
    assert set(loaded.stdout.split()) & heavy == set()


def test_tables_of_the_first_release_still_read(tmp_path):
    write_first_release(tmp_path)
    for name, schema in SCHEMAS.items():
        table = read_table(tmp_path, name)
        assert table.schema.names[: len(schema.names)] == schema.names
        assert len(table) > 0
    trials = read_table(tmp_path, "trials")
    assert trials.schema.names == [*TRIALS.names, "training.seed"]
    assert trials["confirms"].to_pylist() == [None, None]
    assert select_trials(tmp_path, where="seed == 1")["trial"].to_pylist() == [1]
    assert query_study(tmp_path, "SELECT count(*) n FROM trials WHERE confirms IS NULL").to_pylist() == [{"n": 2}]


def test_sql_joins_the_tables(folder):
    sql = "SELECT trial, method, max(e.val_map) best FROM trials JOIN epochs e USING (trial) GROUP BY ALL ORDER BY best"
    assert query_study(folder, sql).to_pylist() == [
        {"trial": 3, "method": "AN", "best": 52.0},
        {"trial": 0, "method": "AN", "best": 60.0},
        {"trial": 1, "method": "LL-R", "best": 70.0},
    ]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM runs", "the tables are trials, epochs, classes"),
        ("SELECT trial, trial FROM trials", "two columns are called trial"),
        ("", "gives no rows"),
    ],
)
def test_a_query_that_cannot_be_answered_says_why(folder, sql, words):
    with pytest.raises(ResultsError, match=words):
        query_study(folder, sql)


def test_without_duckdb_a_query_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ResultsError, match=r"pip install 'wsml-study\[sql\]'"):
        query_study(folder, "SELECT 1")
