"""Ranking of trials by their objective."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from wsml_study.record.history import TrialState
from wsml_study.record.tables import MODE, read_table

UPPER_BOUND = "full"
"""The method that sees all true labels: an upper bound for the others, not a contender."""


def ranked_trials(folder: Path) -> pd.DataFrame:
    """All trials of a study, best value first, those without a value last; `rank` counts from 1.

    Raises:
        ResultsError: the folder holds no study's tables.
    """
    return ranked(read_table(folder, "trials"))


def ranked(table: pa.Table) -> pd.DataFrame:
    """The trials of a table, best value first, those without a value last; `rank` counts from 1.

    Where configs have several runs, the runs of a config stand together and have its rank: that of its mean.
    """
    trials: pd.DataFrame = table.to_pandas()
    smaller_is_better = (table.schema.metadata or {}).get(MODE) == b"min"
    judged, number = (trials["value"], trials["trial"]) if not _has_runs(trials) else _judged(trials)
    order = pd.DataFrame({"judged": judged, "number": number, "trial": trials["trial"]}).sort_values(
        ["judged", "number", "trial"], ascending=[smaller_is_better, True, True], na_position="last"
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
    means, _ = _judged(ranked)
    complete = ranked["value"].notna() & (ranked["state"] == TrialState.COMPLETE)
    runs = complete.groupby(ranked["config_number"]).transform("sum")
    return ranked.assign(value=means, runs=runs.astype(int))[ranked["run"] == 0].reset_index(drop=True)


def _has_runs(trials: pd.DataFrame) -> bool:
    return bool(trials["config_number"].notna().any())


def _judged(trials: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Of each trial the value of its config, and the config's number."""
    number = trials["config_number"]
    means = trials["value"].where(trials["state"] == TrialState.COMPLETE).groupby(number).transform("mean")
    first = trials["value"].where(trials["run"] == 0).groupby(number).transform("first")
    return means.fillna(first), number.astype(int)


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
