"""Studies that search a method, its rate and a learning rate, for any sampler."""

from __future__ import annotations

from typing import Any

from wsml_study.study.reading import parse_study
from wsml_study.study.spec import Study


def study_with(sampler: str, *, batch: int | None = None, **changes: Any) -> Study:
    rates = {"choice": [0.001, 0.003, 0.01, 0.03]} if sampler == "grid" else {"float": {"low": 1e-3, "high": 0.1}}
    content = {
        "name": "searched",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
        "search": {
            "method.name": {"choice": ["AN", "LL-R"]},
            "method.schedule.rate_per_epoch": rates | {"when": {"method.name": ["LL-R"]}},
            "training.learning_rate": {"choice": [1e-4, 1e-3]}
            if sampler == "grid"
            else {"float": {"low": 1e-5, "high": 1e-2, "log": True}},
        },
        "sampler": {"name": sampler, "seed": 7, "batch": batch},
        "trials": 100,
    }
    return parse_study(content | changes, source="test")
