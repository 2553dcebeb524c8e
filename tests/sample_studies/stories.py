"""A small study's history, event by event."""

from __future__ import annotations

from wsml_study.record.history import StudyHistory
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study

CLASSES = ("cat", "dog")


def small_study() -> Study:
    return parse_study(
        {
            "name": "told",
            "data": {"dataset": "digit_scenes"},
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
            "search": {
                "method.name": {"choice": ["AN", "LL-R"]},
                "method.schedule.rate_per_epoch": {
                    "when": {"method.name": ["LL-R"]},
                    "float": {"low": 0.001, "high": 0.1, "log": True},
                },
            },
            "trials": 4,
        },
        source="told",
    )


def epoch_result(epoch: int, val_map: float, best: tuple[int, float], rate: float | None) -> dict:
    return {
        "epoch": epoch,
        "train_loss": 1.0 / epoch,
        "val_map": val_map,
        "val_map_true": val_map,
        "val_map_observed": val_map / 2,
        "val_ap_C": [val_map - 5, None],
        "best_epoch": best[0],
        "best_val_map": best[1],
        "rejection_rate": rate,
        "num_distrusted": 0 if rate is None else epoch,
        "distrust_precision": None,
        "distrust_recall": None,
        "loss_true_positive": 0.5,
        "loss_true_negative": 0.25,
        "loss_false_negative": None,
        "train_seconds": 2.0,
        "validation_seconds": 0.5,
    }


def told_history(study: Study) -> StudyHistory:
    """Trial 0 (AN) complete, 1 (LL-R) best, 2 failed before its first epoch, 3 running."""
    return StudyHistory.replay(told_events(study))


def told_events(study: Study) -> list[dict]:
    """What the log of that history says."""
    space = SearchSpace.from_study(study)
    events: list[dict] = [{"event": "run", "time": 0.0, "classes": CLASSES}]
    suggested = [
        {"method.name": "AN"},
        {"method.name": "LL-R", "method.schedule.rate_per_epoch": 0.01},
        {"method.name": "LL-R", "method.schedule.rate_per_epoch": 0.02},
        {"method.name": "AN"},
    ]
    for number, values in enumerate(suggested):
        config = space.resolve(study, values).model_dump(mode="json")
        created = {"event": "created", "time": 10.0 + number, "trial": number, "values": values, "config": config}
        events.append(created | {"sampler_state": {}})
        events.append({"event": "attempt", "trial": number, "attempt": 1, "time": 10.0 + number})
    curves = {0: [60.0, 55.0], 1: [50.0, 70.0], 3: [52.0]}
    for number, curve in curves.items():
        for epoch, val_map in enumerate(curve, start=1):
            best = max((value, -i) for i, value in enumerate(curve[:epoch], start=1))
            rate = 0.01 * (epoch - 1) if number == 1 else None
            result = epoch_result(epoch, val_map, (-best[1], best[0]), rate)
            told = {"event": "epoch", "trial": number, "attempt": 1, "time": 20.0 + epoch, "result": result}
            events.append(told | {"state": "running"})
    for number, state, error in [
        (0, "complete", None),
        (1, "stopped", None),
        (2, "failed", "the worker group stopped"),
    ]:
        ended = {"event": "ended", "trial": number, "state": state, "error": error, "sampler_state": {}, "time": 30.0}
        events.append(ended)
    return events
