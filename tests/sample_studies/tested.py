"""A study whose trials are results: every config of its grid is tested on the test images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.sample_studies.stories import epoch_result
from tests.sample_studies.synthetic import write_folder
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig


def write_tested(folder: Path, study: Study, test_map: Callable[[TrialConfig], float]) -> Path:
    """The study's folder, with its log, once every trial of its grid has the test mAP that a function gives."""
    space = SearchSpace.from_study(study)
    events: list[dict[str, Any]] = [{"event": "run", "time": 0.0, "classes": ["cat", "dog"]}]
    for number, values in enumerate(space.grid()):
        config = space.resolve(study, values)
        about = {"trial": number, "time": float(number)}
        told = {"event": "created", "values": values, "config": config.model_dump(mode="json"), "sampler_state": {}}
        value = test_map(config)
        test = {"test_map": value, "best_epoch": 1, "test_ap_C": [value, value]}
        result = epoch_result(1, value + 1, (1, value + 1), None)
        events += [
            about | told,
            about | {"event": "attempt", "attempt": 1},
            about | {"event": "epoch", "attempt": 1, "state": "complete", "result": result, "test": test},
        ]
    write_folder(folder, study, events)
    return folder
