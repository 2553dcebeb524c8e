"""Generates docs/tables.md, the documentation of the tables' columns."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from wsml_study.record.label_tables import CORRECTIONS, DISTRUSTED
from wsml_study.record.tables import SCHEMAS

HEAD = """\
# Tables

`results/<study>/` holds three Parquet files. They are written atomically, so they can be read while the study runs:

```python
import wsml_study

results = wsml_study.load("results/rejection_rate")
results.trials  # pandas, best trial first is `results.ranked`
results.arrow("epochs")  # Arrow, with units and meanings in the columns' metadata
results.confirmation  # confirmed configs and their differences; None before `wsml-study confirm`
results.levels  # levels of fidelity and their rank agreement; None without `fidelity`
```

pandas, polars and DuckDB can read the files directly:

```python
pandas.read_parquet("results/rejection_rate/trials.parquet")
polars.read_parquet("results/rejection_rate/epochs.parquet")
duckdb.sql("SELECT method, max(value) FROM 'results/rejection_rate/trials.parquet' GROUP BY method")
```

`wsml-study query STUDY "SQL"` provides the tables as views `trials`, `epochs` and `classes`. A confirmation has its own
tables in `results/<study>/confirm/`; in queries they are `confirm_trials`, `confirm_epochs` and `confirm_classes`. So
has each level of fidelity, in `results/<study>/fidelity/level_1/`: `level_1_trials` and so on.

A query is one statement that reads (SELECT, DESCRIBE, SUMMARIZE, PIVOT, EXPLAIN). DuckDB runs in memory, without access
to files, network or extensions, so that SQL from an untrusted source can only read the study's tables; `-o` writes the
result to a file.

CSV, here and elsewhere, has `'` in front of text that a spreadsheet would evaluate as a formula: text that begins with
`=`, `+`, `-`, `@`, a tab or a carriage return, and is not a number. JSON and Parquet keep it as it is. Printed tables
have control characters escaped.

Tables grow by nullable columns. Any other change raises `wsml_study.version` in a table's metadata and comes with a
reader for the old one; columns that an earlier release did not write are read as null.
"""
NOTES = {
    "trials": "One row per trial. A nullable column per searched key follows, named by its dotted path.",
    "epochs": "One row per epoch of each trial, without gaps or repeats.",
    "classes": "One row per class of each trial, at its best epoch.",
    "corrections": "A file per trial of LL-Cp or MIME that ran through all its epochs, "
    "`corrections/trial_00007.parquet`: one row per unobserved label that is a positive for good, by epoch. "
    "`wsml-study corrections STUDY` shows and exports them, `wsml_study.load(...).corrections()` gives them in "
    "Python, and queries have the view `corrections` of all trials.",
    "distrusted": "A file per trial of a method that chooses labels anew in every epoch (LL-R, LL-Ct) and that ran "
    "through all its epochs, `distrusted/trial_00007.parquet`: one row per unobserved label that it ever distrusted. "
    "Kept where the truth about some training labels is unknown, as in data of one's own; elsewhere "
    "`distrust_precision` and `distrust_recall` of the epochs say more. `wsml-study audit` weighs them, and queries "
    "have the view `distrusted`.",
}


def tables_page() -> str:
    """The page as Markdown."""
    every = {**SCHEMAS, "corrections": CORRECTIONS.schema, "distrusted": DISTRUSTED.schema}
    return "\n".join([HEAD, *(line for name, schema in every.items() for line in _section(name, schema))])


def _section(name: str, schema: pa.Schema) -> Iterator[str]:
    yield from (f"## {name}", "", NOTES[name], "", "| column | type | unit | meaning |", "|---|---|---|---|")
    for field in schema:
        kind = f"{field.type}, may be null" if field.nullable else str(field.type)
        yield f"| `{field.name}` | {kind} | {_metadata(field, b'unit')} | {_metadata(field, b'meaning')} |"
    yield ""


def _metadata(field: pa.Field, key: bytes) -> str:
    value: bytes = (field.metadata or {}).get(key, b"")
    return value.decode()
