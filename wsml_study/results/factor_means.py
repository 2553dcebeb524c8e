"""Results of a study with `factors`: means over seeds and draws at each level, and the best config of each method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wsml_study.record.formats import aligned
from wsml_study.record.tables import read_table
from wsml_study.record.trial_history import TrialState
from wsml_study.record.wording import describe, short_names
from wsml_study.results.crossed import Seeds, crossed_estimate
from wsml_study.results.ranking import ranked
from wsml_study.results.statistics import Estimate, estimate
from wsml_study.study.objective_section import Objective
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study

REPEATS = {"training.seed": "seeds", "data.observe.seed": "draws"}
"""Factors whose levels repeat a config and ask nothing, and what these are: their trials are averaged."""

METHOD = "method.name"


@dataclass(frozen=True, kw_only=True)
class LevelMean:
    """A method's best config at a combination of levels.

    Attributes:
        method: its name.
        config: number of the config: of those that completed at the most levels, the best by the mean over them.
        levels: dotted path -> level, without method and repeats.
        value: the objective over the repeats.
        test: test mAP over them; None where trials are not tested.
    """

    method: str
    config: int
    levels: dict[str, object]
    value: Estimate
    test: Estimate | None


def level_means(study: Study, trials: pd.DataFrame) -> list[LevelMean]:
    """Means of each method at each combination of levels, best method first; empty without factors.

    Args:
        study: with its factors.
        trials: its table of trials.
    """
    factors = [key for key in study.factors or {} if key not in (METHOD, *REPEATS)]
    complete = trials[(trials["state"] == TrialState.COMPLETE) & trials["value"].notna()]
    if not study.factors or complete.empty:
        return []
    means = complete.groupby(["method", "config_number"])["value"].agg(["mean", "size"]).reset_index()
    # A config without its harder levels would have the better mean: only those with the most levels are compared.
    means = means[means["size"] == means.groupby("method")["size"].transform("max")]
    means = means.sort_values("mean", ascending=study.objective.sign < 0, kind="stable").drop_duplicates("method")
    found = []
    for method, config in zip(means["method"], means["config_number"], strict=True):
        of_config = complete[(complete["method"] == method) & (complete["config_number"] == config)]
        groups = of_config.groupby(factors, sort=True, dropna=False) if factors else [((), of_config)]
        for levels, group in groups:
            tested = group[group["test_map"].notna()]
            found.append(
                LevelMean(
                    method=str(method),
                    config=int(config),
                    levels=dict(zip(factors, levels, strict=True)),
                    value=_over_repeats(group, "value"),
                    test=None if tested.empty else _over_repeats(tested, "test_map"),
                )
            )
    return found


def seeds_of(trial: pd.Series) -> Seeds:
    """The repeat that a trial is: levels of its seeds, 0 for a seed that is no factor."""
    first, second = (int(trial[key]) if pd.notna(trial.get(key)) else 0 for key in REPEATS)
    return first, second


def _over_repeats(trials: pd.DataFrame, column: str) -> Estimate:
    values = {seeds_of(trial): float(trial[column]) for _, trial in trials.iterrows()}
    return crossed_estimate(values) if len(values) == len(trials) else estimate(trials[column].tolist())


def factor_lines(folder: Path) -> list[str]:
    """The means as a table under a heading; nothing without factors."""
    study = read_study(folder / "study.yaml")
    trials = ranked(read_table(folder, "trials"))
    means = level_means(study, trials)
    if not means:
        return []
    names = short_names(means[0].levels)
    objective = study.objective
    columns = {
        "method": [one.method for one in means],
        **({"config": [str(one.config) for one in means]} if study.search else {}),
        **{name: [_level(one.levels[key]) for one in means] for key, name in names.items()},
        objective.label: [_text(one.value, objective) for one in means],
        "n": [str(one.value.count) for one in means],
    }
    if any(one.test is not None for one in means):
        columns["test mAP"] = ["-" if one.test is None else _interval(one.test, ".2f") for one in means]
    over = [key for key in study.factors or {} if key in REPEATS]
    repeats = f", means over {' and '.join(over)} with 95 % intervals" if over else ""
    which = "the best config of each method by its mean over all levels" if study.search else "each method"
    return [f"By level: {which}{repeats}", *aligned(columns), *_configs(study, trials, means)]


def _configs(study: Study, trials: pd.DataFrame, means: list[LevelMean]) -> list[str]:
    """What the shown configs are."""
    if not study.search:
        return [""]
    lines = []
    for config in sorted({one.config for one in means}):
        rows = trials[trials["config_number"] == config]
        values = {key: rows[key].dropna().iloc[0] for key in study.search if rows[key].notna().any()}
        lines.append(f"config {config}: {describe(values)}")
    return [*lines, ""]


def _text(value: Estimate, objective: Objective) -> str:
    return _interval(value, objective.number_format)


def _interval(value: Estimate, form: str) -> str:
    if value.low is None or value.high is None:
        return f"{value.mean:{form}}"
    return f"{value.mean:{form}} ({value.low:{form}} to {value.high:{form}})"


def _level(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
