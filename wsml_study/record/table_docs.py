"""The tables' columns as a page for people: docs/tables.md."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from wsml_study.record.tables import SCHEMAS

HEAD = """\
# Tables

`results/<study>/` holds three Parquet files, written whole or not at all, which can be read while the study runs:

```python
import wsml_study

results = wsml_study.load("results/rejection_rate")
results.trials  # pandas, best trial first is `results.ranked`
results.arrow("epochs")  # Arrow, with units and meanings in the columns' metadata
results.confirmation  # what is sure, None before `wsml-study confirm`
results.levels  # of fidelity, and how far neighbours agree; None without `fidelity`
```

pandas, polars and DuckDB read the files themselves:

```python
pandas.read_parquet("results/rejection_rate/trials.parquet")
polars.read_parquet("results/rejection_rate/epochs.parquet")
duckdb.sql("SELECT method, max(value) FROM 'results/rejection_rate/trials.parquet' GROUP BY method")
```

`wsml-study query STUDY "SQL"` has the tables as views `trials`, `epochs` and `classes`. A confirmation has tables of
its own in `results/<study>/confirm/`; there they are `confirm_trials`, `confirm_epochs` and `confirm_classes`.
So has each level of fidelity, in `results/<study>/fidelity/level_1/`: `level_1_trials` and so on.

A query is one statement that reads (SELECT, DESCRIBE, SUMMARIZE, PIVOT, EXPLAIN). DuckDB runs in memory, with no access
to files, network or extensions, so that SQL from elsewhere can only read the study's tables; `-o` writes the answer
into a file.

CSV, here and elsewhere, has `'` in front of text that a spreadsheet would compute as a formula: text that begins with
`=`, `+`, `-`, `@`, a tab or a carriage return, and is not a number. JSON and Parquet keep it as it is. What is printed
has control characters escaped.

Tables grow by nullable columns. Any other change raises `wsml_study.version` in a table's metadata and comes with a
reader for the old one; columns that an earlier release did not write are read as null.
"""
NOTES = {
    "trials": "One row per trial. A nullable column per searched key follows, named by its dotted path.",
    "epochs": "One row per epoch of each trial, without gaps or repeats.",
    "classes": "One row per class of each trial, at its best epoch.",
}


def tables_page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, *(line for name, schema in SCHEMAS.items() for line in _section(name, schema))])


def _section(name: str, schema: pa.Schema) -> Iterator[str]:
    yield from (f"## {name}", "", NOTES[name], "", "| column | type | unit | meaning |", "|---|---|---|---|")
    for field in schema:
        kind = f"{field.type}, may be null" if field.nullable else str(field.type)
        yield f"| `{field.name}` | {kind} | {_said(field, b'unit')} | {_said(field, b'meaning')} |"
    yield ""


def _said(field: pa.Field, key: bytes) -> str:
    said: bytes = (field.metadata or {}).get(key, b"")
    return said.decode()
