"""Ranking of trials by their objective."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

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
    """The trials of a table, best value first, those without a value last; `rank` counts from 1."""
    trials: pd.DataFrame = table.to_pandas()
    smaller_is_better = (table.schema.metadata or {}).get(MODE) == b"min"
    trials = trials.sort_values(
        ["value", "trial"], ascending=[smaller_is_better, True], na_position="last", ignore_index=True
    )
    trials.insert(0, "rank", range(1, len(trials) + 1))
    return trials


def contenders(ranked: pd.DataFrame) -> pd.DataFrame:
    """Trials of methods that see only the observed labels; all trials if there are none with a value."""
    some = ranked[ranked["method"] != UPPER_BOUND]
    return some if some["value"].notna().any() else ranked


def best_per_method(ranked: pd.DataFrame) -> pd.DataFrame:
    """The best trial of each method, best first."""
    return ranked.dropna(subset=["value"]).drop_duplicates("method").reset_index(drop=True)


def top_trials(ranked: pd.DataFrame, *, top: int, per_method: bool) -> pd.DataFrame:
    """The best `top` trials that have a value, over all methods or per method."""
    with_value = ranked.dropna(subset=["value"])
    if per_method:
        return with_value.groupby("method", sort=False).head(top).reset_index(drop=True)
    return with_value.head(top)
