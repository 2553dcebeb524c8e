"""Ranking of trials by their objective."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from wsml_study.record.history import TrialState
from wsml_study.record.tables import MODE, read_table
from wsml_study.results.answered_runs import HIGH, LOW, MAP, AnsweredRuns, read_answered

UPPER_BOUND = "full"
"""The method that sees all true labels: an upper bound for the others, not a contender."""


def ranked_trials(folder: Path) -> pd.DataFrame:
    """All trials of a study, best value first, those without a value last; `rank` counts from 1.

    Raises:
        ResultsError: the folder holds no study's tables.
    """
    return ranked(read_table(folder, "trials"), answered=read_answered(folder))


def ranked(table: pa.Table, *, answered: AnsweredRuns | None = None) -> pd.DataFrame:
    """The trials of a table, best value first, those without a value last; `rank` counts from 1.

    Where people have answered questions, trials come by the estimate that takes the answers in, which is in the columns
    `answered_map`, `answered_low` and `answered_high`, and those without one after them, by value.

    Where configs have several runs by `seeds`, the runs of a config stand together and have its rank: that of its mean.
    """
    trials: pd.DataFrame = table.to_pandas()
    smaller_is_better = (table.schema.metadata or {}).get(MODE) == b"min"
    if answered is not None:
        trials = trials.join(answered.columns(trials["trial"]))
    keys = {key: _by_runs(trials, key) for key in ([MAP] if MAP in trials else []) + ["value"]}
    number = trials["config_number"].astype(int) if _has_runs(trials) else trials["trial"]
    order = pd.DataFrame({**keys, "number": number, "trial": trials["trial"]}).sort_values(
        [*keys, "number", "trial"],
        ascending=[key == "value" and smaller_is_better for key in keys] + [True, True],
        na_position="last",
    )
    trials = trials.loc[order.index].reset_index(drop=True)
    trials.insert(0, "rank", pd.factorize(order["number"])[0] + 1)
    return trials


def by_config(ranked: pd.DataFrame) -> pd.DataFrame:
    """A row per config, that of its first run, with the mean of its complete runs as `value`, and their number `runs`.

    A config without a complete run has its first run's value. Trials of a study without `seeds` come back as they are,
    and so do rows per config.
    """
    if not _has_runs(ranked) or "runs" in ranked:
        return ranked
    means = {key: _by_runs(ranked, key) for key in ("value", MAP, LOW, HIGH) if key in ranked}
    complete = ranked["value"].notna() & (ranked["state"] == TrialState.COMPLETE)
    runs = complete.groupby(ranked["config_number"]).transform("sum")
    return ranked.assign(**means, runs=runs.astype(int))[ranked["run"] == 0].reset_index(drop=True)


def has_factors(trials: pd.DataFrame) -> bool:
    """Whether configs run at levels of factors; these runs are ranked one by one, since a level is no repetition."""
    return bool(trials["levels"].notna().any())


def _has_runs(trials: pd.DataFrame) -> bool:
    """Whether configs have several runs by `seeds`."""
    return bool(trials["config_number"].notna().any()) and not has_factors(trials)


def _by_runs(trials: pd.DataFrame, key: str) -> pd.Series:
    """A column of each trial, or of its config where configs have several runs: then their mean."""
    if not _has_runs(trials):
        return trials[key]
    number = trials["config_number"]
    means = trials[key].where(trials["state"] == TrialState.COMPLETE).groupby(number).transform("mean")
    first = trials[key].where(trials["run"] == 0).groupby(number).transform("first")
    return means.fillna(first)


def contenders(ranked: pd.DataFrame) -> pd.DataFrame:
    """Trials of methods that see only the observed labels; all trials if there are none with a value."""
    some = ranked[ranked["method"] != UPPER_BOUND]
    return some if some["value"].notna().any() else ranked


def best_per_method(ranked: pd.DataFrame) -> pd.DataFrame:
    """The best trial of each method, best first."""
    return by_config(ranked).dropna(subset=["value"]).drop_duplicates("method").reset_index(drop=True)


def top_trials(ranked: pd.DataFrame, *, top: int, per_method: bool) -> pd.DataFrame:
    """The best `top` trials that have a value, over all methods or per method."""
    with_value = by_config(ranked).dropna(subset=["value"])
    if per_method:
        return with_value.groupby("method", sort=False).head(top).reset_index(drop=True)
    return with_value.head(top)
