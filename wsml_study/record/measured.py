"""The measures of a trial that its study names as second objective or constrains."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from wsml_study.record.trial_history import TrialHistory
from wsml_study.study.measures import TOTAL_SECONDS, TRAIN_SECONDS
from wsml_study.study.objective_section import Objective

Measured = Mapping[str, float | None]
"""Measure -> value; None where nothing is annotated."""


def is_answer(trial: TrialHistory, objective: Objective) -> bool:
    """Whether a trial misses no constraint, so far."""
    return objective.missed(measured(trial, objective)) is None


def measured(trial: TrialHistory, objective: Objective) -> dict[str, float | None]:
    """Every measure that the objective names, from what the log has; empty before the first epoch ends."""
    if not trial.epochs or not objective.measures:
        return {}
    last = trial.epochs[trial.last_epoch]
    epoch = trial.epochs[last["best_epoch"]] if objective.of_best_epoch else last
    train = [float(one["train_seconds"]) for one in trial.epochs.values()]
    validation = [float(one["validation_seconds"]) for one in trial.epochs.values()]
    known = (epoch.get("measures") or {}) | {TRAIN_SECONDS: fmean(train), TOTAL_SECONDS: sum(train) + sum(validation)}
    return {name: known.get(name) for name in objective.measures}
