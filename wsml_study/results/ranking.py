"""Ranking of trials by their objective."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from wsml_study.record.tables import BESIDE_MODE, MODE, read_table
from wsml_study.record.trial_history import TrialState
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
    metadata = table.schema.metadata or {}
    smaller_is_better = metadata.get(MODE) == b"min"
    if answered is not None:
        trials = trials.join(answered.columns(trials["trial"]))
    judged = _by_runs(trials, "value")
    estimates = {MAP: _by_runs(trials, MAP)} if MAP in trials else {}
    number = trials["config_number"].astype(int) if _has_runs(trials) else trials["trial"]
    misses = judged.notna() & trials["missed"].notna()
    order = pd.DataFrame({"last": judged.isna(), "misses": misses, **estimates, "judged": judged, "number": number})
    order = order.assign(trial=trials["trial"]).sort_values(
        ["last", "misses", *estimates, "judged", "number", "trial"],
        ascending=[True, True, *(False for _ in estimates), smaller_is_better, True, True],
    )
    trials = trials.loc[order.index].reset_index(drop=True)
    trials.insert(0, "rank", pd.factorize(order["number"])[0] + 1)
    if BESIDE_MODE in metadata:
        trials["front"] = _on_front(
            answers(trials), signs=(-1 if smaller_is_better else 1, 1 if metadata[BESIDE_MODE] == b"max" else -1)
        ).reindex(trials.index, fill_value=False)
    return trials


def answers(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that may be an answer of the study: those that do not miss a constraint."""
    return trials[trials["missed"].isna()]


def the_front(ranked: pd.DataFrame) -> pd.DataFrame:
    """The trials on the front of a study with `objective.beside`, best by the objective first."""
    return ranked[ranked["front"]].reset_index(drop=True)


def _on_front(trials: pd.DataFrame, *, signs: tuple[int, int]) -> pd.Series:
    """Of each complete trial whether none is at least as good in both objectives and better in one.

    Trials of `full`, which sees all labels, neither count nor keep others from counting. Of trials that are equal in
    both the first is on the front.
    """
    complete = trials[(trials["state"] == TrialState.COMPLETE) & (trials["method"] != UPPER_BOUND)]
    both = complete[["value", "beside"]].dropna().mul(pd.Series({"value": signs[0], "beside": signs[1]}))
    order = both.assign(trial=complete["trial"]).sort_values(
        ["value", "beside", "trial"], ascending=[False, False, True]
    )
    best_before = order["beside"].cummax().shift(fill_value=float("-inf"))
    return order["beside"] > best_before


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
    """Trials of methods that see only the observed labels; all trials if there are none with a value.

    Without those that miss a constraint of the study.
    """
    possible = answers(ranked)
    some = possible[possible["method"] != UPPER_BOUND]
    return some if some["value"].notna().any() else possible


def leading_trial(folder: Path) -> tuple[float, int] | None:
    """Value and number of the trial, or of the first run of the config, that leads a study's contenders.

    The value is the estimate by people's answers where there are any. None without a value, where every trial misses a
    constraint, and with factors, whose levels are no rivals.

    Raises:
        ResultsError: the folder holds no study's tables.
    """
    table = read_table(folder, "trials", without=("config", "values"))
    trials = by_config(ranked(table, answered=read_answered(folder)))
    possible = contenders(trials)
    key = MAP if MAP in trials else "value"
    valued = possible[possible[key].notna()]
    if valued.empty or has_factors(trials):
        return None
    best = valued.iloc[0]
    return float(best[key]), int(best["trial"])


def best_per_method(ranked: pd.DataFrame) -> pd.DataFrame:
    """The best trial of each method that misses no constraint, best first."""
    return answers(by_config(ranked)).dropna(subset=["value"]).drop_duplicates("method").reset_index(drop=True)


def top_trials(ranked: pd.DataFrame, *, top: int, per_method: bool) -> pd.DataFrame:
    """The best `top` trials that have a value and miss no constraint, over all methods or per method."""
    with_value = answers(by_config(ranked)).dropna(subset=["value"])
    if per_method:
        return with_value.groupby("method", sort=False).head(top).reset_index(drop=True)
    return with_value.head(top)
