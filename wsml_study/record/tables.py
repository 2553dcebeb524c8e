"""The Arrow tables of a study: trials, epochs and classes, written atomically as Parquet files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wsml_study.errors import ResultsError
from wsml_study.record.files import write_whole
from wsml_study.record.history import StudyHistory
from wsml_study.record.kept_result import KeptResult
from wsml_study.record.measured import measured
from wsml_study.record.trial_history import TrialHistory, TrialState, best_metric_of, metric_of
from wsml_study.study.objective_section import Objective
from wsml_study.study.search_section import Parameter
from wsml_study.study.spec import Study

PERCENT = "percent, mean over classes"
NATS = "nats, mean binary cross-entropy"
SECONDS = "s"
OBJECTIVE = "of the objective's metric; percent for mAP"
SINCE_1970 = "s since 1970-01-01 UTC"
VERSION = "1"
MODE = b"wsml_study.mode"
"""Metadata key of a trials table: `min` if a smaller value is better; otherwise absent."""
BESIDE_MODE = b"wsml_study.beside_mode"
"""Metadata key of a trials table: `max` or `min`, as values of the second objective are better; absent without."""


def _schema(table: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={"wsml_study.table": table, "wsml_study.version": VERSION})


def _column(name: str, kind: pa.DataType, meaning: str, *, unit: str | None = None, nullable: bool = False) -> pa.Field:
    metadata = {"meaning": meaning} | ({} if unit is None else {"unit": unit})
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def _maybe(name: str, kind: pa.DataType, meaning: str, *, unit: str | None = None) -> pa.Field:
    return _column(name, kind, meaning, unit=unit, nullable=True)


TRIALS = _schema(
    "trials",
    [
        _column("study", pa.string(), "name of the study"),
        _column("trial", pa.int32(), "number of the trial, from 0, in the order of creation"),
        _column(
            "state",
            pa.string(),
            "running, complete, stopped (early), failed, or paused: ended by a rung that it may still survive, or "
            "unfinished when a budget or `stop_when` ended the search",
        ),
        _column("method", pa.string(), "how unobserved labels are treated"),
        _maybe("value", pa.float64(), "the objective after the newest epoch; mAP by default", unit=PERCENT),
        _maybe("best_epoch", pa.int32(), "epoch of the best objective, from 1"),
        _column("last_epoch", pa.int32(), "newest epoch, 0 before the first"),
        _maybe(
            "test_map", pa.float64(), "test mAP of the best epoch; null for trials that are not tested", unit=PERCENT
        ),
        _column("attempts", pa.int32(), "number of times that the trial was started"),
        _maybe("error", pa.string(), "why the trial failed"),
        _maybe("started", pa.float64(), "first start", unit=SINCE_1970),
        _maybe("ended", pa.float64(), "end, for any reason", unit=SINCE_1970),
        _column("values", pa.string(), "suggested values: JSON, dotted path -> value"),
        _column("config", pa.string(), "the complete trial config: JSON"),
        _maybe(
            "repeats",
            pa.string(),
            "proposals before this trial that compute the same as an earlier one and were not run again: JSON, list of "
            "trial, values",
        ),
        _maybe(
            "config_number", pa.int32(), "`seeds`, `factors`: number of the config, from 0; its runs are a trial each"
        ),
        _maybe("run", pa.int32(), "`seeds`, `factors`: which run of its config the trial is, from 0"),
        _maybe("levels", pa.string(), "`factors`: levels that the trial runs at, JSON"),
        _maybe(
            "origin",
            pa.string(),
            "entry of `start_from` that the trial comes from; null for a proposal of the sampler",
        ),
        _maybe("confirms", pa.int32(), "confirmation: number of the trial of the search whose config this one repeats"),
        _maybe("promoted_level", pa.int32(), "fidelity: number of the level that the config survived, from 1"),
        _maybe("promoted_trial", pa.int32(), "fidelity: number of the trial at that level"),
        _maybe("promoted_value", pa.float64(), "fidelity: objective of the trial at that level", unit=PERCENT),
        _maybe("train_share", pa.float64(), "`data.train_share`; null for all training images", unit="fraction"),
        _maybe("num_val_classes", pa.int32(), "classes that `val_map` is the mean of", unit="classes"),
        _maybe("num_test_classes", pa.int32(), "classes that `test_map` is the mean of", unit="classes"),
        _maybe(
            "beside",
            pa.float64(),
            "the second objective, `objective.beside`; `results` adds `front`, whether the trial is on the front",
            unit="of the measure",
        ),
        _maybe(
            "missed", pa.string(), "constraints that the trial misses, such as `of1 58.2 < 60`; null if it meets all"
        ),
        _maybe("measures", pa.string(), "measures with constraints: JSON, name -> value"),
        _maybe("host", pa.string(), "name of the machine that the newest epoch ran on, of the worker of rank 0"),
    ],
)
"""One row per trial. A study's own file adds a nullable column per searched key or factor, named by its dotted path."""

EPOCHS = _schema(
    "epochs",
    [
        _column("study", pa.string(), "name of the study"),
        _column("trial", pa.int32(), "number of the trial"),
        _column("epoch", pa.int32(), "number of the epoch, from 1"),
        _column("attempt", pa.int32(), "number of the start of the trial that ran this epoch, from 1"),
        _column("train_loss", pa.float64(), "the method's own loss", unit="nats, as the method reduces it"),
        _column(
            "val_map",
            pa.float64(),
            "mAP on the labels that `data.validation.labels` selects; NaN without validation images",
            unit=PERCENT,
        ),
        _column("val_map_true", pa.float64(), "mAP on the true validation labels", unit=PERCENT),
        _column(
            "val_map_observed",
            pa.float64(),
            "mAP on the observed validation labels, unobserved as negative",
            unit=PERCENT,
        ),
        _column("best_val_map", pa.float64(), "`val_map` of the best epoch so far", unit=PERCENT),
        _maybe("rejection_rate", pa.float64(), "the schedule's rate", unit="fraction of the counted entries"),
        _column("num_distrusted", pa.int64(), "labels that the method distrusted in this epoch", unit="labels"),
        _maybe(
            "distrust_precision",
            pa.float64(),
            "fraction of the distrusted labels that are false negatives",
            unit="fraction",
        ),
        _maybe(
            "distrust_recall", pa.float64(), "fraction of the false negatives that were distrusted", unit="fraction"
        ),
        _maybe("loss_true_positive", pa.float64(), "loss of observed positives", unit=NATS),
        _maybe("loss_true_negative", pa.float64(), "loss of negatives, observed or not", unit=NATS),
        _maybe("loss_false_negative", pa.float64(), "loss of unobserved positives treated as negatives", unit=NATS),
        _column("train_seconds", pa.float64(), "time of training", unit=SECONDS),
        _column("validation_seconds", pa.float64(), "time of validation", unit=SECONDS),
        _column("time", pa.float64(), "end of the epoch", unit=SINCE_1970),
        _maybe(
            "phase",
            pa.string(),
            "what was trained: linear (a linear probe), end_to_end or class_wise (rows of the head)",
        ),
        _maybe(
            "exploited_trial",
            pa.int32(),
            "population based training: number of the trial whose network was copied after this epoch",
        ),
        _maybe("values", pa.string(), "population based training: values of this epoch: JSON, dotted path -> value"),
        _maybe(
            "objective", pa.float64(), "the metric that trials are compared by; `val_map` by default", unit=OBJECTIVE
        ),
        _maybe("best_objective", pa.float64(), "`objective` of the best epoch so far", unit=OBJECTIVE),
        _maybe(
            "head_epoch",
            pa.int32(),
            "linear_init, first epoch end to end: the epoch of the linear probe whose head it began with",
        ),
        _maybe(
            "measures",
            pa.string(),
            "validation metrics that `objective.beside` and `objective.constraints` name: JSON, name -> value",
        ),
        _maybe("host", pa.string(), "name of the machine that it ran on, of the worker of rank 0"),
        _maybe(
            "val_map_raw",
            pa.float64(),
            "`training.ema_decay`: mAP of the weights; the epoch's other figures are of these or of their average, "
            "whichever is better by the objective",
            unit=PERCENT,
        ),
        _maybe("val_map_averaged", pa.float64(), "`training.ema_decay`: mAP of the averaged weights", unit=PERCENT),
    ],
)
"""One row per epoch of each trial, without gaps or repeats. Grows by nullable columns; any other change raises the
version and ships a reader for the old one."""

CLASSES = _schema(
    "classes",
    [
        _column("study", pa.string(), "name of the study"),
        _column("trial", pa.int32(), "number of the trial"),
        _column("split", pa.string(), "validation, or test where the trial was tested"),
        _column("epoch", pa.int32(), "the evaluated epoch, which is the trial's best one"),
        _column("class", pa.string(), "name of the class"),
        _maybe("average_precision", pa.float64(), "AP of the class", unit="percent; null if not in the mean"),
        _maybe(
            "class_group",
            pa.int32(),
            "OpenImages: its fifth of the classes, from 1, by training labels; LVIS: 1 rare, 2 common, 3 frequent",
        ),
        _maybe("num_positives", pa.int64(), "images of the split that are labelled with the class", unit="labels"),
        _maybe("num_negatives", pa.int64(), "images that are labelled as without it", unit="labels"),
        _maybe("num_assumed_negative", pa.int64(), "images without a label that count as negative", unit="labels"),
        _maybe("num_left_out", pa.int64(), "images without a label that are left out", unit="labels"),
        _maybe(
            "positives_likelier",
            pa.float64(),
            "validation: how many times likelier a positive is labelled than a negative, over all classes; null where "
            "labels are complete or it is unknown",
            unit="ratio",
        ),
    ],
)
"""One row per class of each trial, at its best epoch."""

PAUSED = "paused"
"""`state` of a trial that the end of the search has left unfinished."""

BLOCK = 64
"""Number of settled trials whose rows are built together and kept: many small blocks would be slower to concatenate."""

PART = 1000
"""Number of trials whose rows are in memory at a time."""

DIFFERENT_TEXTS = ("values", "config")
"""Columns of texts that differ from trial to trial."""

SCHEMAS = {"trials": TRIALS, "epochs": EPOCHS, "classes": CLASSES}

VALIDATION_MAP = ("val_map", "val_map_true", "val_map_observed", "best_val_map")
"""Columns of EPOCHS that are NaN without validation images."""


Standing = tuple[str, int, int]
"""State, number of starts and last epoch of a trial: its rows change with these, unless it is at work."""


def is_settled(trial: TrialHistory) -> bool:
    """Whether the rows of a trial stay as they are until its standing changes: it is closed or paused."""
    return trial.closed or trial.state is TrialState.PAUSED


def standing(trial: TrialHistory) -> Standing:
    """As the trial's row in the table of trials has it."""
    return trial.state.value, trial.attempt, trial.last_epoch


def standings(trials: pa.Table) -> dict[int, Standing]:
    """Number of a trial -> its standing, of every row of a table of trials."""
    columns = trials.select(["trial", "state", "attempts", "last_epoch"]).to_pydict()
    return {number: tuple(of_trial) for number, *of_trial in zip(*columns.values(), strict=True)}


class TableWriter:
    """Rewrites the tables of a study as it grows; the rows of settled trials are built once and kept."""

    def __init__(self, folder: Path, study: Study, kept: dict[str, pa.Table] | None = None) -> None:
        """Build nothing yet.

        Args:
            folder: of the tables.
            study: whose trials they are.
            kept: rows of settled trials that need not be built, from `kept_rows`.
        """
        self._folder, self._study = folder, study
        self._blocks: dict[str, list[pa.Table]] = {name: [] if kept is None else [kept[name]] for name in SCHEMAS}
        self._in_blocks: dict[int, Standing] = {} if kept is None else standings(kept["trials"])

    def write(self, history: StudyHistory) -> None:
        """Write trials.parquet, epochs.parquet and classes.parquet, each atomically.

        Raises:
            ResultsError: the folder cannot be written.
        """
        # Building rows from the history costs more than writing them, so only the rows of trials that are at work are
        # built anew; those of settled trials stay in blocks.
        self._drop_changed(history)
        loose = [trial for number, trial in sorted(history.trials.items()) if number not in self._in_blocks]
        settled = [trial for trial in loose if is_settled(trial)]
        if len(settled) >= BLOCK:
            for name, block in _tables_of(self._study, settled, history).items():
                self._blocks[name].append(block)
            self._in_blocks.update((trial.number, standing(trial)) for trial in settled)
            loose = [trial for trial in loose if not is_settled(trial)]
        for name, rest in _tables_of(self._study, loose, history).items():
            table = _by_trial(pa.concat_tables([*self._blocks[name], rest])) if self._in_blocks else rest
            _write(self._folder / f"{name}.parquet", table)

    def _drop_changed(self, history: StudyHistory) -> None:
        """Drop the rows of paused trials that have gone on or ended since they were built."""
        changed = [number for number, kept in self._in_blocks.items() if standing(history.trials[number]) != kept]
        if not changed:
            return
        for number in changed:
            del self._in_blocks[number]
        numbers = pa.array(changed, pa.int32())
        for name, blocks in self._blocks.items():
            table = pa.concat_tables(blocks)
            self._blocks[name] = [table.filter(pc.invert(pc.is_in(table["trial"], numbers)))]


def write_tables(folder: Path, study: Study, history: StudyHistory) -> None:
    """Write trials.parquet, epochs.parquet and classes.parquet once, each atomically.

    Raises:
        ResultsError: the folder cannot be written.
    """
    TableWriter(folder, study).write(history)


def tables_of(study: Study, history: StudyHistory) -> dict[str, pa.Table]:
    """The tables trials, epochs and classes as `write_tables` writes them."""
    return _tables_of(study, [trial for _, trial in sorted(history.trials.items())], history)


def write_table(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows as a Parquet file of this schema."""
    _write(path, pa.Table.from_pylist(rows, schema=schema))


def read_table(folder: Path, table: str, *, without: Sequence[str] = ()) -> pa.Table:
    """Read one of a study's tables; columns that an earlier release did not write are null.

    Args:
        folder: of the study.
        table: a key of `SCHEMAS`.
        without: columns that are not read, and null: nine tenths of a table of trials are their configs.

    Raises:
        ResultsError: there is no such table, it is damaged, or a newer version wrote it.
    """
    path = folder / f"{table}.parquet"
    if not path.exists():
        raise ResultsError(f"{path}: no such table; `wsml-study run` writes it; or give the folder of another study")
    try:
        columns = None if not without else [name for name in pq.read_schema(path).names if name not in without]
        content = pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise ResultsError(f"{path}: not a complete Parquet file ({error}); `wsml-study run` rewrites it") from error
    version = (content.schema.metadata or {}).get(b"wsml_study.version", b"?").decode()
    if version != VERSION:
        raise ResultsError(f"{path}: expected version {VERSION} of the table, got {version}; update wsml-study")
    return _completed(content, SCHEMAS[table])


def _completed(content: pa.Table, schema: pa.Schema) -> pa.Table:
    """All columns of the schema, null if absent, then those of the searched keys."""
    columns = {
        field.name: content[field.name] if field.name in content.column_names else pa.nulls(len(content), field.type)
        for field in schema
    }
    own = {name: content[name] for name in content.column_names if name not in columns}
    fields = [*schema, *(content.schema.field(name) for name in own)]
    return pa.table([*columns.values(), *own.values()], schema=pa.schema(fields, metadata=content.schema.metadata))


OF_EVERY_EPOCH = (
    "best_epoch",
    "best_val_map",
    "train_loss",
    "num_distrusted",
    "train_seconds",
    "validation_seconds",
    "val_ap_C",
)
"""Keys of an epoch's result that logs of all versions have, and the tables need."""

OF_EVERY_TEST = ("best_epoch", "test_map", "test_ap_C")


def searched_keys(names: Iterable[str]) -> list[str]:
    """The columns of a trials table that are searched keys: only these have a dot in their name."""
    return [name for name in names if "." in name]


def damaged_tables(folder: Path) -> list[str]:
    """File names of tables that exist but cannot be read."""
    damaged = []
    for name in SCHEMAS:
        path = folder / f"{name}.parquet"
        try:
            if path.exists():
                pq.read_schema(path)
        except (pa.ArrowInvalid, OSError):
            damaged.append(path.name)
    return damaged


def _tables_of(study: Study, trials: Sequence[TrialHistory], history: StudyHistory) -> dict[str, pa.Table]:
    """Table name -> all rows of these trials.

    Raises:
        ResultsError: an event lacks what a column needs, or a trial's values are not of the kinds that are searched.
    """
    paused = {trial.number for trial in history.paused}
    # In parts: rows take ten times the memory of the table that is made from them.
    parts = [
        _part_of_tables(study, trials[first : first + PART], history, paused) for first in range(0, len(trials), PART)
    ] or [_part_of_tables(study, (), history, paused)]
    return {name: pa.concat_tables([part[name] for part in parts]) for name in SCHEMAS}


def _part_of_tables(
    study: Study, trials: Sequence[TrialHistory], history: StudyHistory, paused: set[int]
) -> dict[str, pa.Table]:
    for trial in trials:
        _check_complete(trial)
    trial_rows = [
        _trial_row(study, trial, history) | ({"state": PAUSED} if trial.number in paused else {}) for trial in trials
    ]
    epoch_rows = [row for trial in trials for row in _epoch_rows(study, trial)]
    class_rows = [row for trial in trials for row in _class_rows(study, trial, history)]
    try:
        of_trials = pa.Table.from_pylist(trial_rows, schema=_with_searched_keys(study))
    except (pa.ArrowInvalid, TypeError) as error:
        raise _damaged(f"a trial has values that do not fit the study's `search`: {error}") from error
    return {
        "trials": of_trials,
        "epochs": pa.Table.from_pylist(epoch_rows, schema=EPOCHS),
        "classes": pa.Table.from_pylist(class_rows, schema=CLASSES),
    }


def _check_complete(trial: TrialHistory) -> None:
    """Raise ResultsError if the events of a trial lack a key that a column is made from."""
    if "name" not in trial.config.get("method", {}):
        raise _damaged(f"trial {trial.number} has no key config.method.name")
    for epoch, result in trial.epochs.items():
        if missing := [key for key in OF_EVERY_EPOCH if key not in result]:
            raise _damaged(f"epoch {epoch} of trial {trial.number} has no key {missing[0]}")
    if trial.test is not None and (missing := [key for key in OF_EVERY_TEST if key not in trial.test]):
        raise _damaged(f"the test of trial {trial.number} has no key {missing[0]}")


def _damaged(what: str) -> ResultsError:
    return ResultsError(
        f"events.jsonl: {what}; the log is damaged: restore it from a copy, or set the study aside with --restart"
    )


def refuse_lost_events(folder: Path, history: StudyHistory) -> None:
    """Refuse a log without trials next to tables with trials.

    Raises:
        ResultsError: the tables know trials of which the log has no event.
    """
    path = folder / "trials.parquet"
    if history.trials or not path.exists() or path.name in damaged_tables(folder):
        return
    num_trials = pq.read_metadata(path).num_rows
    if num_trials > 0:
        raise ResultsError(
            f"{folder}: the event log has no trials, and {path.name} has {num_trials}: events are lost; restore "
            f"events.jsonl from a copy, or set the study aside with --restart"
        )


def _by_trial(table: pa.Table) -> pa.Table:
    """The rows sorted by trial; the sort is stable, so that the order within a trial is kept."""
    return table.take(pc.sort_indices(table["trial"]))


def _write(path: Path, table: pa.Table) -> None:
    # A dictionary of numbers, nearly all of which differ, makes a file larger and takes six times as long to write.
    repeated = [one.name for one in table.schema if pa.types.is_string(one.type) and one.name not in DIFFERENT_TEXTS]
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=repeated)
    write_whole(path, sink.getvalue().to_pybytes())


def _with_searched_keys(study: Study) -> pa.Schema:
    schema = TRIALS
    if study.objective.mode == "min":
        schema = schema.with_metadata({**schema.metadata, MODE: b"min"})
    if study.objective.second is not None:
        mode = b"max" if study.objective.second.greater_is_better else b"min"
        schema = schema.with_metadata({**schema.metadata, BESIDE_MODE: mode})
    for key, parameter in study.varied.items():
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


def _trial_row(study: Study, trial: TrialHistory, history: StudyHistory) -> dict[str, Any]:
    last = trial.epochs.get(trial.last_epoch, {})
    varied = study.varied
    searched = {
        key: str(value) if _arrow_type(varied[key]) == pa.string() else value
        for key, value in trial.values.items()
        if key in varied
    }
    return (
        searched
        | {
            "study": study.name,
            "trial": trial.number,
            "state": trial.state.value,
            "method": trial.config["method"]["name"],
            "value": trial.value(study.objective),
            "best_epoch": last.get("best_epoch"),
            "last_epoch": trial.last_epoch,
            "test_map": None if trial.test is None else trial.test["test_map"],
            "attempts": trial.attempt,
            "host": trial.host,
            "error": trial.error,
            "started": trial.started,
            "ended": trial.ended,
            "values": json.dumps(trial.values),
            "config": json.dumps(trial.config),
            "repeats": _repeats(trial, history),
            "config_number": trial.config_number,
            "run": None if trial.config_number is None else trial.run,
            "levels": _levels(study, trial),
            "origin": trial.origin,
            "confirms": trial.confirms,
            "train_share": trial.config["data"].get("train_share"),
            "num_val_classes": _num_classes(trial.epochs[last["best_epoch"]]["val_ap_C"]) if last else None,
            "num_test_classes": None if trial.test is None else _num_classes(trial.test["test_ap_C"]),
        }
        | _promotion_columns(trial)
        | _measure_columns(study.objective, trial)
    )


def _measure_columns(objective: Objective, trial: TrialHistory) -> dict[str, Any]:
    """The second objective and the constraints, once an epoch has ended."""
    found = measured(trial, objective)
    constrained = {name: found[name] for name in objective.bounds if name in found}
    return {
        "beside": None if objective.beside is None else found.get(objective.beside),
        "missed": objective.missed(found) if found else None,
        "measures": json.dumps(constrained) if constrained else None,
    }


def _num_classes(ap_C: Sequence[float | None]) -> int:
    """Classes with an AP: those that the mAP is the mean of."""
    return sum(ap is not None for ap in ap_C)


def _levels(study: Study, trial: TrialHistory) -> str | None:
    if not study.factors:
        return None
    return json.dumps({key: trial.values[key] for key in study.factors if key in trial.values})


def _repeats(trial: TrialHistory, history: StudyHistory) -> str | None:
    # The sampler's numbers are those of configs, which are their trials' unless a config has several runs.
    repeats = [{"trial": history.runs_of_config[repeat.trial][0], "values": repeat.values} for repeat in trial.repeats]
    return json.dumps(repeats) if repeats else None


def _promotion_columns(trial: TrialHistory) -> dict[str, Any]:
    if trial.promoted is None:
        return {}
    return {f"promoted_{name}": value for name, value in asdict(trial.promoted).items()}


def _epoch_rows(study: Study, trial: TrialHistory) -> Iterator[dict[str, Any]]:
    sources = {exploit.epoch: exploit.source for exploit in trial.exploits}
    changing = study.early_stopping.record.is_population
    for epoch, kept in sorted(trial.epochs.items()):
        result = kept.unpacked() if isinstance(kept, KeptResult) else kept
        row = {"study": study.name, "trial": trial.number} | {name: result.get(name) for name in EPOCHS.names[2:]}
        row |= {"exploited_trial": sources.get(epoch)}
        row |= {"objective": metric_of(result), "best_objective": best_metric_of(result)}
        # Without validation images there is no mAP, and these columns are not nullable.
        row |= {name: math.nan for name in VALIDATION_MAP if row[name] is None}
        row["measures"] = json.dumps(result["measures"]) if result.get("measures") else None
        yield row | {"values": json.dumps(trial.values_in(epoch)) if changing else None}


def _class_rows(study: Study, trial: TrialHistory, history: StudyHistory) -> Iterator[dict[str, Any]]:
    by_split: dict[str, tuple[int, Sequence[float | None]]] = {}
    if trial.epochs:
        best = trial.epochs[trial.last_epoch]["best_epoch"]
        by_split["validation"] = (best, trial.epochs[best]["val_ap_C"])
    if trial.test is not None:
        by_split["test"] = (trial.test["best_epoch"], trial.test["test_ap_C"])
    for split, (epoch, ap_C) in by_split.items():
        groups_C = history.class_groups or [None] * len(history.classes)
        counts = _label_counts(trial, history, split)
        likelier = history.judged_labels.get("positives_likelier") if split == "validation" else None
        for position, (name, ap, group) in enumerate(zip(history.classes, ap_C, groups_C, strict=True)):
            yield {
                "study": study.name,
                "trial": trial.number,
                "split": split,
                "epoch": epoch,
                "class": name,
                "average_precision": ap,
                "class_group": group,
                **{column: numbers_C[position] for column, numbers_C in counts.items()},
                "positives_likelier": likelier,
            }


def _label_counts(trial: TrialHistory, history: StudyHistory, split: str) -> dict[str, Sequence[int]]:
    """Columns of label counts by class; empty where the log does not have them."""
    choice = trial.config.get("data", {}).get("validation", {}).get("labels")
    counts: dict[str, Sequence[int]] = history.judged_labels.get(split if split == "test" else choice, {})
    return counts
