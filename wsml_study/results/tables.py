"""The Arrow tables of a study: trials, epochs, classes. One writer; whole files or none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wsml_study.errors import ResultsError
from wsml_study.results.files import write_whole
from wsml_study.results.history import StudyHistory, TrialHistory
from wsml_study.study.spec import Parameter, Study

PERCENT = {"unit": "percent, mean over classes"}
NATS = {"unit": "nats, mean binary cross-entropy"}
SECONDS = {"unit": "s"}
SINCE_1970 = {"unit": "s since 1970-01-01 UTC"}
VERSION = "1"


def _schema(table: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={"wsml_study.table": table, "wsml_study.version": VERSION})


TRIALS = _schema(
    "trials",
    [
        pa.field("study", pa.string(), nullable=False),
        pa.field("trial", pa.int32(), nullable=False),
        pa.field("state", pa.string(), nullable=False),  # running | complete | stopped | failed
        pa.field("method", pa.string(), nullable=False),
        pa.field("value", pa.float64(), metadata=PERCENT),  # the objective; null before the first epoch
        pa.field("best_epoch", pa.int32()),
        pa.field("last_epoch", pa.int32(), nullable=False),
        pa.field("test_map", pa.float64(), metadata=PERCENT),  # final training alone
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("started", pa.float64(), metadata=SINCE_1970),
        pa.field("ended", pa.float64(), metadata=SINCE_1970),
        pa.field("values", pa.string(), nullable=False, metadata={"format": "JSON, dotted path -> suggested value"}),
        pa.field("config", pa.string(), nullable=False, metadata={"format": "JSON of the trial config"}),
    ],
)
"""One row per trial. A study's own file adds a nullable column per searched key, named by its dotted path."""

EPOCHS = _schema(
    "epochs",
    [
        pa.field("study", pa.string(), nullable=False),
        pa.field("trial", pa.int32(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),  # from 1
        pa.field("attempt", pa.int32(), nullable=False),  # which start of the trial ran this epoch, from 1
        pa.field("train_loss", pa.float64(), nullable=False, metadata={"unit": "nats, as the method reduces it"}),
        pa.field("val_map", pa.float64(), nullable=False, metadata=PERCENT),
        pa.field("val_map_true", pa.float64(), nullable=False, metadata=PERCENT),
        pa.field("val_map_observed", pa.float64(), nullable=False, metadata=PERCENT),
        pa.field("best_val_map", pa.float64(), nullable=False, metadata=PERCENT),
        pa.field("rejection_rate", pa.float64(), metadata={"unit": "fraction of the counted entries"}),
        pa.field("num_distrusted", pa.int64(), nullable=False, metadata={"unit": "labels"}),
        pa.field("distrust_precision", pa.float64(), metadata={"unit": "fraction"}),
        pa.field("distrust_recall", pa.float64(), metadata={"unit": "fraction"}),
        pa.field("loss_true_positive", pa.float64(), metadata=NATS),
        pa.field("loss_true_negative", pa.float64(), metadata=NATS),
        pa.field("loss_false_negative", pa.float64(), metadata=NATS),
        pa.field("train_seconds", pa.float64(), nullable=False, metadata=SECONDS),
        pa.field("validation_seconds", pa.float64(), nullable=False, metadata=SECONDS),
        pa.field("time", pa.float64(), nullable=False, metadata=SINCE_1970),
        pa.field("phase", pa.string()),  # linear: the head learnt alone | end_to_end
    ],
)
"""One row per epoch of each trial, without gaps or repeats. Grows by nullable columns; any other change raises the
version and ships a reader for the old one."""

CLASSES = _schema(
    "classes",
    [
        pa.field("study", pa.string(), nullable=False),
        pa.field("trial", pa.int32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # validation | test
        pa.field("epoch", pa.int32(), nullable=False),  # the epoch of the best validation mAP
        pa.field("class", pa.string(), nullable=False),
        pa.field("average_precision", pa.float64(), metadata={"unit": "percent; null without annotations"}),
    ],
)
"""One row per class of each trial, at its best epoch."""

BLOCK = 64
"""Trials that ended since, before their rows are made for the last time: small blocks cost more to join."""

SCHEMAS = {"trials": TRIALS, "epochs": EPOCHS, "classes": CLASSES}


class TableWriter:
    """Writes the tables of a study anew as it grows; the rows of trials that have ended for good are made once."""

    def __init__(self, folder: Path, study: Study) -> None:
        self._folder, self._study = folder, study
        self._blocks: list[dict[str, pa.Table]] = []
        self._in_blocks: set[int] = set()

    def write(self, history: StudyHistory) -> None:
        """Write trials.parquet, epochs.parquet and classes.parquet, each whole or not at all.

        Raises:
            ResultsError: the folder cannot be written.
        """
        loose = [trial for number, trial in sorted(history.trials.items()) if number not in self._in_blocks]
        closed = [trial for trial in loose if trial.closed]
        if len(closed) >= BLOCK:
            self._blocks.append(_tables_of(self._study, closed, history.classes))
            self._in_blocks.update(trial.number for trial in closed)
            loose = [trial for trial in loose if not trial.closed]
        parts = [*self._blocks, _tables_of(self._study, loose, history.classes)]
        for name in SCHEMAS:
            table = pa.concat_tables([part[name] for part in parts])
            _write(self._folder / f"{name}.parquet", _by_trial(table) if len(parts) > 1 else table)


def write_tables(folder: Path, study: Study, history: StudyHistory) -> None:
    """Write trials.parquet, epochs.parquet and classes.parquet once, each whole or not at all.

    Raises:
        ResultsError: the folder cannot be written.
    """
    TableWriter(folder, study).write(history)


def write_table(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows as a Parquet file of this schema."""
    _write(path, pa.Table.from_pylist(rows, schema=schema))


def read_table(folder: Path, table: str) -> pa.Table:
    """Read one of a study's tables.

    Raises:
        ResultsError: there is no such study, it is damaged, or a newer version wrote it.
    """
    path = folder / f"{table}.parquet"
    if not path.exists():
        raise ResultsError(f"{path}: no such table; `wsml-study run` writes it, or name the study's folder")
    try:
        content = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ResultsError(f"{path}: not a whole Parquet file ({error}); `wsml-study run` writes it anew") from error
    version = (content.schema.metadata or {}).get(b"wsml_study.version", b"?").decode()
    if version != VERSION:
        raise ResultsError(f"{path}: expected version {VERSION} of the table, got {version}; update wsml-study")
    return content


def damaged_tables(folder: Path) -> list[str]:
    """File names of tables that are there but cannot be read."""
    damaged = []
    for name in SCHEMAS:
        path = folder / f"{name}.parquet"
        try:
            if path.exists():
                pq.read_schema(path)
        except (pa.ArrowInvalid, OSError):
            damaged.append(path.name)
    return damaged


def _tables_of(study: Study, trials: Sequence[TrialHistory], classes: Sequence[str]) -> dict[str, pa.Table]:
    """All rows about these trials, by table."""
    trial_rows = [_trial_row(study, trial) for trial in trials]
    epoch_rows = [row for trial in trials for row in _epoch_rows(study, trial)]
    class_rows = [row for trial in trials for row in _class_rows(study, trial, classes)]
    return {
        "trials": pa.Table.from_pylist(trial_rows, schema=_with_searched_keys(study)),
        "epochs": pa.Table.from_pylist(epoch_rows, schema=EPOCHS),
        "classes": pa.Table.from_pylist(class_rows, schema=CLASSES),
    }


def _by_trial(table: pa.Table) -> pa.Table:
    """The same rows in the order of the trials; Arrow's sort keeps the order within each."""
    return table.take(pc.sort_indices(table["trial"]))


def _write(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_whole(path, sink.getvalue().to_pybytes())


def _with_searched_keys(study: Study) -> pa.Schema:
    schema = TRIALS
    for key, parameter in study.search.items():
        schema = schema.append(pa.field(key, _arrow_type(parameter)))
    return schema


def _arrow_type(parameter: Parameter) -> pa.DataType:
    if parameter.float is not None:
        return pa.float64()
    if parameter.int is not None:
        return pa.int64()
    kinds = {type(value) for value in parameter.choice or ()}
    if kinds <= {bool}:
        return pa.bool_()
    if kinds <= {int}:
        return pa.int64()
    return pa.float64() if kinds <= {int, float} else pa.string()


def _trial_row(study: Study, trial: TrialHistory) -> dict[str, Any]:
    last = trial.epochs.get(trial.last_epoch, {})
    searched = {
        key: str(value) if _arrow_type(study.search[key]) == pa.string() else value
        for key, value in trial.values.items()
    }
    return searched | {
        "study": study.name,
        "trial": trial.number,
        "state": trial.state.value,
        "method": trial.config["method"]["name"],
        "value": trial.value(study.objective.metric),
        "best_epoch": last.get("best_epoch"),
        "last_epoch": trial.last_epoch,
        "test_map": None if trial.test is None else trial.test["test_map"],
        "attempts": trial.attempt,
        "error": trial.error,
        "started": trial.started,
        "ended": trial.ended,
        "values": json.dumps(trial.values),
        "config": json.dumps(trial.config),
    }


def _epoch_rows(study: Study, trial: TrialHistory) -> Iterator[dict[str, Any]]:
    for _, result in sorted(trial.epochs.items()):
        yield {"study": study.name, "trial": trial.number} | {name: result.get(name) for name in EPOCHS.names[2:]}


def _class_rows(study: Study, trial: TrialHistory, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    by_split: dict[str, tuple[int, Sequence[float | None]]] = {}
    if trial.epochs:
        best = trial.epochs[trial.last_epoch]["best_epoch"]
        by_split["validation"] = (best, trial.epochs[best]["val_ap_C"])
    if trial.test is not None:
        by_split["test"] = (trial.test["best_epoch"], trial.test["test_ap_C"])
    for split, (epoch, ap_C) in by_split.items():
        for name, ap in zip(classes, ap_C, strict=True):
            yield {
                "study": study.name,
                "trial": trial.number,
                "split": split,
                "epoch": epoch,
                "class": name,
                "average_precision": ap,
            }
