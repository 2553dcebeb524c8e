"""What a study with constraints or with two objectives has found, in words: the front, or that nothing meets them."""

from __future__ import annotations

import json

import pandas as pd

from wsml_study.record.wording import describe
from wsml_study.results.ranking import answers, the_front
from wsml_study.study.measures import Measure
from wsml_study.study.objective_section import Objective


def missed_by_all(trials: pd.DataFrame) -> str | None:
    """That no trial meets the constraints of its study, and what the nearest misses; None if one does."""
    valued = trials.dropna(subset=["value"])
    if valued.empty or not answers(valued).empty:
        return None
    best = valued.iloc[0]
    return (
        f"No trial meets the constraints of the study, so there is no answer. The best by the objective, trial "
        f"{best['trial']}, misses {best['missed']}. More trials may find one; else loosen `objective.constraints` "
        f"under another `name`."
    )


def front_sentence(trials: pd.DataFrame, objective: Objective) -> str | None:
    """The front of a study with two objectives; None for other studies, and before a trial is complete.

    Args:
        trials: as `ranked_trials` gives them.
        objective: of the study.
    """
    second = objective.second
    if second is None or (front := the_front(trials)).empty:
        return None
    first, last = front.iloc[0], front.iloc[-1]
    best = f"{_both(first, objective, second)} ({describe(json.loads(first['values']))}, trial {first['trial']})"
    if len(front) == 1:
        return f"One trial is best in both {objective.label} and {second.label}: {best}."
    other = f"{_both(last, objective, second)} ({describe(json.loads(last['values']))}, trial {last['trial']})"
    return f"{len(front)} trials are on the front of {objective.label} and {second.label}: from {best} to {other}."


def _both(trial: pd.Series, objective: Objective, second: Measure) -> str:
    return f"{objective.text(trial['value'])} at {second.text(trial['beside'])}"
