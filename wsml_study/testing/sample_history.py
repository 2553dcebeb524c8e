"""A small study and the events of its run, for trackers to follow; the numbers mean nothing."""

from __future__ import annotations

from typing import Any

from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study

START = 1_800_000_000.0
"""Seconds since 1970 at which the run starts."""

CLASSES = ("cat", "dog")
EPOCHS = 3


def sample_study() -> Study:
    """Five trials that search a method, its rate and a learning rate."""
    return parse_study(
        {
            "name": "sample",
            "data": {"dataset": "digit_scenes"},
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.01}},
            "training": {"epochs": EPOCHS},
            "search": {
                "method.name": {"choice": ["AN", "LL-R"]},
                "method.schedule.rate_per_epoch": {
                    "when": {"method.name": ["LL-R"]},
                    "float": {"low": 0.001, "high": 0.03, "log": True},
                },
                "training.learning_rate": {"float": {"low": 1e-4, "high": 1e-2, "log": True}},
            },
            "early_stopping": {"name": "asha"},
            "trials": 5,
        },
        source="sample",
    )


def sample_events(study: Study) -> list[dict[str, Any]]:
    """Two trials at a time: trial 1 repeats its second epoch, trial 2 is stopped, trial 3 fails, others complete."""
    lives = [
        _life(study, 0, {"method.name": "AN", "training.learning_rate": 1e-3}, 0.0),
        _life(study, 1, _large_loss(0.002), 0.5, repeats=2),
        _life(study, 2, _large_loss(0.03), 40.0, last=1, state="stopped"),
        _life(study, 3, {"method.name": "AN", "training.learning_rate": 1e-2}, 45.5, last=2, state="failed"),
        _life(study, 4, _large_loss(0.005), 50.25),
    ]
    events = sorted((event for life in lives for event in life), key=lambda event: event["time"])
    return [{"event": "run", "time": START, "classes": list(CLASSES), "num_trials": len(lives)}, *events]


def _large_loss(rate: float) -> dict[str, Any]:
    return {"method.name": "LL-R", "method.schedule.rate_per_epoch": rate, "training.learning_rate": 1e-3}


def _life(
    study: Study,
    number: int,
    values: dict[str, Any],
    seconds: float,
    *,
    last: int = EPOCHS,
    repeats: int | None = None,
    state: str = "complete",
) -> list[dict[str, Any]]:
    """All events of a trial that is created so many seconds after the start; one epoch may run twice."""
    at = START + 1.0 + seconds
    config = SearchSpace.from_study(study).resolve(study, values).model_dump(mode="json")
    created: dict[str, Any] = {"event": "created", "values": values, "config": config, "sampler_state": {}}
    events: list[dict[str, Any]] = [created | {"time": at}, {"event": "attempt", "attempt": 1, "time": at + 0.01}]
    runs = [(epoch, 1) for epoch in range(1, last + 1)]
    if repeats is not None:
        again = [(epoch, 2) for epoch, _ in runs if epoch >= repeats]
        runs = [run for run in runs if run[0] <= repeats] + again
    for step, (epoch, attempt) in enumerate(runs, start=1):
        now = at + 7.0 * step
        if attempt == 2 and epoch == repeats:
            events.append({"event": "attempt", "attempt": 2, "time": now - 3.0})
        ends = step == len(runs) and state != "failed"
        result = _result(number, epoch, attempt, with_rate=values["method.name"] == "LL-R")
        reported: dict[str, Any] = {"event": "epoch", "attempt": attempt, "time": now, "result": result}
        events.append(reported | {"state": state if ends else "running"})
    error = "loss is not finite" if state == "failed" else None
    now = at + 7.0 * len(runs) + 0.1
    ended: dict[str, Any] = {"event": "ended", "state": state, "error": error, "sampler_state": {}, "time": now}
    return [event | {"trial": number} for event in (*events, ended)]


def _result(number: int, epoch: int, attempt: int, *, with_rate: bool) -> dict[str, Any]:
    """What an epoch showed; its mAP rises from epoch to epoch, and differs where an epoch is repeated."""
    val_map = 60.0 + number + 5.0 * epoch + 0.25 * attempt
    return {
        "epoch": epoch,
        "train_loss": 1.0 / epoch,
        "val_map": val_map,
        "val_map_true": val_map,
        "val_map_observed": val_map / 2,
        "val_ap_C": [val_map - 1.0, val_map + 1.0],
        "best_epoch": epoch,
        "best_val_map": val_map,
        "rejection_rate": 0.01 * epoch if with_rate else None,
        "num_distrusted": 100 * epoch if with_rate else 0,
        "distrust_precision": 0.75 if with_rate else None,
        "distrust_recall": 0.5 if with_rate else None,
        "loss_true_positive": 2.0 / epoch,
        "loss_true_negative": 0.125 / epoch,
        "loss_false_negative": 0.125 * epoch,
        "train_seconds": 2.0,
        "validation_seconds": 0.5,
    }
