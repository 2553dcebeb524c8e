"""`results`: filter, group, sort, and hand on in a format."""

import io
import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from wsml_study.errors import ResultsError
from wsml_study.record.formats import Format, format_of, rendered, write_new
from wsml_study.record.tables import TRIALS
from wsml_study.results.trial_filter import none_meets, select_trials


def numbers(folder, **wanted):
    return select_trials(folder, **wanted)["trial"].to_pylist()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("method == 'LL-R' and value > 60", [1]),
        ("method == 'AN'", [0, 3]),
        ("state in ['complete', 'running']", [0, 3]),
        ("rate_per_epoch >= 0.02", [2]),
        ("`method.schedule.rate_per_epoch` < 0.02", [1]),
        ("value.isna()", [2]),
        ("rank <= 2", [1, 0]),
        ("value > 1000", []),
    ],
)
def test_a_condition_chooses_trials_best_first(folder, where, expected):
    assert numbers(folder, where=where) == expected


def test_a_condition_that_no_trial_meets_is_told_with_the_values_that_there_are(folder):
    assert none_meets(folder, "method == 'll-r' and value > 1") == (
        "None of the 4 trials meets --where \"method == 'll-r' and value > 1\"; `method` is AN, LL-R."
    )
    assert none_meets(folder, "host == 'b'") == (
        "None of the 4 trials meets --where \"host == 'b'\"; `host` is empty in all of them."
    )
    assert none_meets(folder, "value > 1000") == "None of the 4 trials meets --where 'value > 1000'."


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [1, 0, 3, 2]),
        ({"top": 2}, [1, 0]),
        ({"per": "method"}, [1, 0]),
        ({"per": "method", "top": 2}, [1, 0, 3, 2]),
        ({"per": "state"}, [1, 0, 3, 2]),
        ({"sort": "trial"}, [0, 1, 2, 3]),
        ({"sort": "last_epoch", "descending": True}, [1, 0, 3, 2]),
        ({"sort": "rate_per_epoch", "where": "method == 'LL-R'", "descending": True}, [2, 1]),
        ({"per": "method", "sort": "trial"}, [0, 1]),
    ],
)
def test_trials_are_grouped_and_sorted(folder, wanted, expected):
    assert numbers(folder, **wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"where": "method = 'AN'"}, "expected a condition such as"),
        ({"where": "methud == 'AN'"}, "methud.*on rank, study, trial"),
        ({"where": "value + 1"}, "does not evaluate to true or false"),
        ({"where": "value > 'x'"}, "--where"),
        ({"where": ""}, "--where"),
        ({"sort": "values_"}, "no column 'values_'; the trials have rank"),
        ({"per": "methud"}, "no column 'methud'"),
    ],
)
def test_what_cannot_be_chosen_by_is_named(folder, wanted, words):
    with pytest.raises(ResultsError, match=words):
        select_trials(folder, **wanted)


def test_parquet_keeps_types_units_and_order(folder):
    chosen = pq.read_table(io.BytesIO(rendered(select_trials(folder), Format.PARQUET)))
    assert chosen.schema.names[:3] == ["rank", "study", "trial"]
    assert chosen.schema.field("value").equals(TRIALS.field("value"), check_metadata=True)
    assert chosen["best_epoch"].to_pylist() == [2, 1, 1, None]


def test_csv_and_json_say_the_same_as_the_table(folder):
    table = select_trials(folder)
    read = pd.read_csv(io.BytesIO(rendered(table, Format.CSV)))
    assert read["value"].dropna().tolist() == [70.0, 60.0, 52.0]
    assert read["method.schedule.rate_per_epoch"].dropna().tolist() == [0.01, 0.02]
    rows = json.loads(rendered(table, Format.JSON))
    assert [row["value"] for row in rows] == [70.0, 60.0, 52.0, None]
    assert rows[0]["config"]["method"]["schedule"]["rate_per_epoch"] == 0.01
    assert rows[0]["values"]["method.name"] == "LL-R"


def test_text_is_aligned_with_dashes_for_what_is_absent(folder):
    lines = rendered(select_trials(folder).select(["rank", "method", "value"]), Format.TABLE).decode().splitlines()
    assert lines == [
        "rank  method  value",
        "1     LL-R    70",
        "2     AN      60",
        "3     AN      52",
        "4     LL-R    -",
    ]


def test_a_file_asks_for_its_format_and_is_never_overwritten(tmp_path):
    assert [format_of(tmp_path / name) for name in ("a.CSV", "a.json", "a.parquet", "a.txt")] == [
        Format.CSV,
        Format.JSON,
        Format.PARQUET,
        Format.TABLE,
    ]
    write_new(tmp_path / "a.csv", b"1\n")
    write_new(tmp_path / "a.csv", b"1\n")
    with pytest.raises(ResultsError, match="exists and differs"):
        write_new(tmp_path / "a.csv", b"2\n")
    assert (tmp_path / "a.csv").read_bytes() == b"1\n"
