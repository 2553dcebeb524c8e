"""Ranking of trials, and of configs that have several runs."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wsml_study.record.tables import TRIALS
from wsml_study.results.ranking import best_per_method, by_config, ranked, top_trials
from wsml_study.results.trial_filter import select_trials

ROWS = [
    # config_number, run, method, value, state
    (0, 0, "AN", 70.0, "complete"),
    (1, 0, "LL-R", 75.0, "complete"),
    (0, 1, "AN", 74.0, "complete"),
    (1, 1, "LL-R", 67.0, "complete"),
    (2, 0, "LL-R", 60.0, "stopped"),
    (3, 0, "AN", 20.0, "complete"),
    (1, 2, "LL-R", 99.0, "running"),
]


def table_of(rows: list[tuple]) -> pa.Table:
    columns = ("config_number", "run", "method", "value", "state")
    content = [dict(zip(columns, row, strict=True)) | {"trial": number} for number, row in enumerate(rows)]
    return pa.Table.from_pylist(
        content, schema=pa.schema([field.with_nullable(True) for field in TRIALS], TRIALS.metadata)
    )


def test_configs_rank_by_the_mean_of_their_complete_runs() -> None:
    trials = ranked(table_of(ROWS))
    assert trials["trial"].tolist() == [0, 2, 1, 3, 6, 4, 5]
    assert trials["rank"].tolist() == [1, 1, 2, 2, 2, 3, 4]
    configs = by_config(trials)
    assert configs["trial"].tolist() == [0, 1, 4, 5]
    assert configs["value"].tolist() == [72.0, 71.0, 60.0, 20.0]
    assert configs["runs"].tolist() == [2, 2, 0, 1]
    pd.testing.assert_frame_equal(by_config(configs), configs)
    assert best_per_method(trials)["trial"].tolist() == [0, 1]
    assert top_trials(trials, top=3, per_method=False)["trial"].tolist() == [0, 1, 4]


def test_trials_without_configs_rank_by_their_values() -> None:
    trials = ranked(table_of([(None, None, *row[2:]) for row in ROWS]))
    assert trials["trial"].tolist() == [6, 1, 2, 0, 3, 4, 5]
    assert trials["rank"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    pd.testing.assert_frame_equal(by_config(trials), trials)


def test_selected_rows_are_configs_with_their_means(tmp_path) -> None:
    pq.write_table(table_of(ROWS), tmp_path / "trials.parquet")
    table = select_trials(tmp_path, top=2)
    assert table.select(["rank", "trial", "value", "runs"]).to_pylist() == [
        {"rank": 1, "trial": 0, "value": 72.0, "runs": 2},
        {"rank": 2, "trial": 1, "value": 71.0, "runs": 2},
    ]
    assert select_trials(tmp_path, where="value < 30")["trial"].to_pylist() == [5]
