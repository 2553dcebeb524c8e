"""Filters and sorts the trials of a study."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from wsml_study.errors import ResultsError
from wsml_study.record.tables import read_table, searched_keys
from wsml_study.record.wording import short_names
from wsml_study.results.answered_runs import HIGH, LOW, MAP, read_answered
from wsml_study.results.ranking import by_config, ranked


def select_trials(
    folder: Path,
    *,
    where: str | None = None,
    per: str | None = None,
    top: int | None = None,
    sort: str | None = None,
    descending: bool = False,
) -> pa.Table:
    """Selected trials of a study with their rank, best first unless `sort` is given.

    Where configs have several runs, the row of a config is that of its first run with the mean over its complete runs
    as `value`, and their number as `runs`. Where people have answered questions there are the columns `answered_map`,
    `answered_low` and `answered_high`. With `objective.beside` the column `front` says whether a trial is on the
    front.

    Args:
        folder: of the study's results.
        where: a condition in the language of `pandas.DataFrame.query` on columns of the trials table and on `rank`;
            searched keys can be given by their short names.
        per: select the best trials for each value of this column.
        top: number of best trials, per value with `per`; by default all, and one per value with `per`.
        sort: column to sort by.
        descending: sort the largest value first.

    Raises:
        ResultsError: the folder has no tables of a study, there is no such column, or the condition is invalid.
    """
    table = read_table(folder, "trials")
    trials = by_config(ranked(table, answered=read_answered(folder)))
    short = {name: trials[key] for key, name in _short_names(trials.columns).items()}
    chosen = matching(trials.assign(**{name: column for name, column in short.items() if name not in trials}), where)
    if per is not None:
        chosen = chosen.groupby(_column(per, chosen.columns), sort=False, dropna=False).head(top or 1)
    elif top is not None:
        chosen = chosen.head(top)
    if sort is not None:
        chosen = chosen.sort_values(_column(sort, chosen.columns), ascending=not descending, kind="stable")
    row_of = {trial: row for row, trial in enumerate(table["trial"].to_pylist())}
    # Rows are taken from the Arrow table: pandas turned integer columns with nulls into floats.
    selected = table.take(pa.array([row_of[trial] for trial in chosen["trial"]], pa.int64()))
    if "runs" in chosen:
        means = pa.array(chosen["value"], pa.float64(), from_pandas=True)
        selected = selected.set_column(selected.column_names.index("value"), selected.schema.field("value"), means)
        selected = selected.append_column(pa.field("runs", pa.int32()), pa.array(chosen["runs"], pa.int32()))
    for column in (name for name in (MAP, LOW, HIGH) if name in chosen):
        estimates = pa.array(chosen[column], pa.float64(), from_pandas=True)
        selected = selected.append_column(pa.field(column, pa.float64()), estimates)
    if "front" in chosen:
        selected = selected.append_column(pa.field("front", pa.bool_()), pa.array(chosen["front"], pa.bool_()))
    return selected.add_column(0, pa.field("rank", pa.int32()), pa.array(chosen["rank"], pa.int32()))


def none_meets(folder: Path, where: str) -> str:
    """A sentence that no trial meets a condition, with the values that its text columns have.

    Args:
        folder: of the study's results.
        where: the condition, as `select_trials` takes it.
    """
    trials = read_table(folder, "trials").to_pandas()
    words = set(re.findall(r"\w+", where))
    texts = [name for name in ("method", "state", "host", "origin") if name in words and name in trials]
    has = [f"`{name}` is {_some(trials[name].dropna().unique())}" for name in texts]
    return "; ".join([f"None of the {len(trials)} trials meets --where {where!r}", *has]) + "."


def _some(values: Iterable[str]) -> str:
    shown = sorted(values)
    return ", ".join(shown[:8]) + (", ..." if len(shown) > 8 else "") if shown else "empty in all of them"


def _short_names(names: Iterable[str]) -> dict[str, str]:
    """Dotted key -> short name of the searched keys, except `method.name`, which has a column of its own."""
    return short_names(key for key in searched_keys(names) if key != "method.name")


def matching(trials: pd.DataFrame, where: str | None) -> pd.DataFrame:
    """The rows of a table that meet a condition; all without one.

    Raises:
        ResultsError: the condition is invalid; the message names the columns.
    """
    if where is None:
        return trials
    try:
        mask = trials.eval(where, engine="python")
        if not isinstance(mask, pd.Series) or mask.dtype != bool:
            raise TypeError("it does not evaluate to true or false for each trial")
    except Exception as error:  # a condition can raise any error in pandas
        raise ResultsError(
            f"--where {where!r}: {error}; expected a condition such as \"method == 'LL-R' and value > 80\" on "
            f"{_listed(trials.columns)}"
        ) from error
    return trials[mask]


def _column(name: str, known: Iterable[str]) -> str:
    if name not in known:
        raise ResultsError(f"there is no column {name!r}; the trials have {_listed(known)}")
    return name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name for name in names if name not in ("values", "config"))
