"""The results of a paper's studies as data: Parquet tables, and a card that says what is in them.

The folder opens with `datasets.load_dataset(FOLDER, "results")`, with pandas, and with DuckDB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from wsml_study.record.formats import Format, rendered
from wsml_study.record.markup import markdown, markdown_text
from wsml_study.record.storage import CONFIRMATION
from wsml_study.record.tables import SCHEMAS, read_table
from wsml_study.report.paper.study_columns import Cell, Column
from wsml_study.results.study_results import StudyRecord

PERCENT = "percent"


def _field(name: str, kind: pa.DataType, meaning: str, unit: str = "") -> pa.Field:
    return pa.field(name, kind, metadata={"meaning": meaning} | ({"unit": unit} if unit else {}))


WHICH = (
    _field("study", pa.string(), "name of the study"),
    _field("dataset", pa.string(), "dataset, as the paper's table calls it"),
    _field("setting", pa.string(), "mode of training and levels of factors, where a study has several"),
    _field("method", pa.string(), "how unobserved labels are treated, with the head if it is not linear"),
    _field("trial", pa.int32(), "of the study, whose config this is"),
)

RESULTS = pa.schema(
    [
        *WHICH,
        _field("basis", pa.string(), "confirmed, over seeds, or unconfirmed search"),
        _field("quantity", pa.string(), "what the mean is of, with its unit"),
        _field("mean", pa.float64(), "over the runs"),
        _field("low", pa.float64(), "of the 95 % interval; null for one run"),
        _field("high", pa.float64(), "of the 95 % interval; null for one run"),
        _field("seeds", pa.int32(), "number of runs"),
        _field("is_best", pa.bool_(), "the best mean of a column that is tested"),
        _field("not_told_apart", pa.bool_(), "from the best one, by the tests of the study"),
        _field("published_map", pa.float64(), "published test mAP", PERCENT),
        _field("published_source", pa.string(), "the paper"),
        _field("departures", pa.string(), "from the protocol of the published figure"),
        _field("searched", pa.string(), "searched values of the config, in words"),
    ]
)
RUNS = pa.schema(
    [
        *WHICH,
        _field("training_seed", pa.int64(), "seed of weights, order and mirroring"),
        _field("observe_seed", pa.int64(), "seed of the draw of observed labels"),
        _field("value", pa.float64(), "the objective on the validation images, which chose the epoch"),
        _field("test_map", pa.float64(), "test mAP of that epoch", PERCENT),
    ]
)
DIFFERENCES = pa.schema(
    [
        *WHICH,
        _field("baseline", pa.string(), "method that the config is compared with"),
        _field("baseline_trial", pa.int32(), "of the study"),
        _field("points", pa.float64(), "test mAP above the baseline, seed by seed", "percentage points"),
        _field("low", pa.float64(), "of the 95 % interval", "percentage points"),
        _field("high", pa.float64(), "of the 95 % interval", "percentage points"),
        _field("seeds", pa.int32(), "that both ran with"),
        _field("p_value", pa.float64(), "of the two-sided paired t-test"),
        _field("p_corrected", pa.float64(), "the same, by Holm over the comparisons of the study"),
        _field("verdict", pa.string(), "above, below, equivalent, given up, or open"),
    ]
)
PART = _field("part", pa.string(), "search, or confirmation")

MEANINGS = {
    "results": "a row per study and method: what the paper's table has",
    "runs": "a row per run behind a mean",
    "differences": "a row per confirmed config: how far it is from the baseline",
    "trials": "a row per trial of searches and confirmations",
    "epochs": "a row per epoch of each trial",
    "classes": "a row per class of each trial, at its best epoch",
}
"""Table -> what a row is."""


def dataset_files(records: Sequence[StudyRecord], columns: Sequence[Column], *, title: str) -> dict[str, bytes]:
    """The files of the folder by name; a table without rows is left out.

    Raises:
        ResultsError: a table of a study cannot be read.
    """
    tables = {
        "results": pa.Table.from_pylist([*result_rows(columns)], schema=RESULTS),
        "runs": pa.Table.from_pylist([*_runs(columns)], schema=RUNS),
        "differences": pa.Table.from_pylist([*_differences(columns)], schema=DIFFERENCES),
        **{name: _together(list(_parts(records, name))) for name in SCHEMAS},
    }
    kept = {name: table for name, table in tables.items() if table.num_rows}
    files = {f"{name}.parquet": rendered(table, Format.PARQUET) for name, table in kept.items()}
    return {"README.md": _card(kept, records, columns, title=title).encode(), **files}


def _which(column: Column, method: str, trial: int) -> dict[str, Any]:
    about = {"study": column.study, "dataset": column.dataset, "setting": column.setting or None}
    return about | {"method": method, "trial": trial}


def result_rows(columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    """Rows of the table `results`, in the order of the columns and their cells."""
    for column in columns:
        for method, cell in column.cells.items():
            yield _which(column, method, cell.trial) | _result(column, cell)


def _result(column: Column, cell: Cell) -> dict[str, Any]:
    return {
        "basis": column.basis.value,
        "quantity": column.quantity,
        "mean": cell.mean.mean,
        "low": cell.mean.low,
        "high": cell.mean.high,
        "seeds": cell.mean.count,
        "is_best": cell.is_best if column.is_tested else None,
        "not_told_apart": cell.is_alike if column.is_tested else None,
        "published_map": cell.published and cell.published.map,
        "published_source": cell.published and cell.published.source,
        "departures": "; ".join(cell.departures) if cell.published is not None else None,
        "searched": cell.described,
    }


def _runs(columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    for column in columns:
        for config in column.configs:
            for (training, observe), run in config.runs.items():
                yield _which(column, config.method, config.trial) | {
                    "training_seed": training,
                    "observe_seed": observe,
                    "value": run.value,
                    "test_map": run.test_map,
                }


def _differences(columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    for column in columns:
        for one in column.comparisons:
            yield _which(column, one.config.method, one.config.trial) | {
                "baseline": one.baseline.method,
                "baseline_trial": one.baseline.trial,
                "points": one.points.mean,
                "low": one.points.low,
                "high": one.points.high,
                "seeds": one.points.count,
                "p_value": one.judged.p_value,
                "p_corrected": one.judged.corrected,
                "verdict": one.verdict.value,
            }


def _parts(records: Sequence[StudyRecord], name: str) -> Iterator[pa.Table]:
    """A table of each study and of its confirmation, with the study's name; `data.root`, a place, is left out."""
    for record in records:
        for part, folder in (("search", record.folder), ("confirmation", record.folder / CONFIRMATION)):
            if not (folder / f"{name}.parquet").exists():
                continue
            table = read_table(folder, name)
            place = table.column_names.index("study")
            named = pa.array([record.study.name] * len(table), pa.string())
            table = table.set_column(place, table.schema.field("study"), named)
            table = table.add_column(place + 1, PART, pa.array([part] * len(table), pa.string()))
            yield _without_root(table) if "config" in table.column_names else table


def _without_root(table: pa.Table) -> pa.Table:
    configs = [json.loads(config) for config in table["config"].to_pylist()]
    texts = [json.dumps(config | {"data": config["data"] | {"root": None}}) for config in configs]
    return table.set_column(
        table.column_names.index("config"), table.schema.field("config"), pa.array(texts, pa.string())
    )


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables below each other; a column that is text in some and numbers in others, as of a searched key, is text."""
    if not tables:
        return pa.table({})
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    kinds = {name: {table.schema.field(name).type for table in tables if name in table.column_names} for name in names}
    mixed = {name for name, types in kinds.items() if len(types) > 1 and any(map(_is_text, types))}
    alike = [_as_text(table, mixed) for table in tables]
    return pa.concat_tables(alike, promote_options="permissive").replace_schema_metadata(None)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_boolean(kind))


def _as_text(table: pa.Table, names: set[str]) -> pa.Table:
    for name in names & set(table.column_names):
        field = table.schema.field(name).with_type(pa.string())
        table = table.set_column(table.column_names.index(name), field, table[name].cast(pa.string()))
    return table


def _card(
    tables: Mapping[str, pa.Table], records: Sequence[StudyRecord], columns: Sequence[Column], *, title: str
) -> str:
    """The README.md: front matter that `datasets` reads, how to open the tables, and what their columns mean."""
    front = ["---", f"pretty_name: {json.dumps(title)}", "tags:", "- multi-label", "- weak-supervision", "configs:"]
    for number, name in enumerate(tables):
        front += [
            f"- config_name: {name}",
            f"  data_files: {name}.parquet",
            *(["  default: true"] if not number else []),
        ]
    studies = [
        f"- {markdown_text(column.study)}, {markdown_text(column.heading)}: **{column.basis.value}**. "
        f"{markdown_text('; '.join(column.notes))}."
        for column in columns
    ]
    rows = [f"- `{name}`: {MEANINGS[name]}; {len(table):,} rows" for name, table in tables.items()]
    parts = [
        "\n".join([*front, "---"]),
        f"# {markdown_text(title)}",
        f"Results of {len(records)} {'study' if len(records) == 1 else 'studies'}, written by wsml-study.",
        "\n".join(rows),
        OPENING,
        "## What the numbers rest on",
        "\n".join(studies),
        "## Columns",
        *(f"### {name}\n\n{markdown(_described(table))}" for name, table in tables.items()),
        "## License\n\nNot stated here: state it before you publish the folder.",
    ]
    return "\n\n".join(parts) + "\n"


OPENING = """```python
import duckdb, pandas
from datasets import load_dataset

pandas.read_parquet("results.parquet")
duckdb.sql("SELECT dataset, method, mean, low, high FROM 'results.parquet' ORDER BY ALL")
load_dataset(".", "results", split="train")
```"""


def _described(table: pa.Table) -> dict[str, list[str]]:
    metadata = [field.metadata or {} for field in table.schema]
    return {
        "column": table.column_names,
        "type": [str(field.type) for field in table.schema],
        "meaning": [about.get(b"meaning", b"searched key").decode() for about in metadata],
        "unit": [about.get(b"unit", b"").decode() for about in metadata],
    }
