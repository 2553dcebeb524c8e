"""A study with levels as a run leaves it, from the values of its trials."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.sample_studies.stories import CLASSES, epoch_result
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import write_tables
from wsml_study.study.fidelity import at_level
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config


def leveled_study(*, trials: int = 6, survivors: int = 4, storage: str = "results") -> Study:
    """One level of one epoch below full size, which has two."""
    return parse_study(
        {
            "name": "leveled",
            "data": {"dataset": "digit_scenes"},
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
            "training": {"epochs": 2},
            "search": {"method.schedule.rate_per_epoch": {"float": {"low": 0.001, "high": 0.9}}},
            "sampler": {"name": "random"},
            "trials": trials,
            "fidelity": [{"set": {"training.epochs": 1}, "survivors": survivors}],
            "storage": storage,
        },
        source="leveled",
    )


def level_events(
    study: Study,
    level: int,
    trials: Sequence[tuple[float, float | None, str]],
    promoted: Sequence[int | None] | None = None,
    below: Sequence[tuple[float, float | None, str]] = (),
) -> list[dict[str, Any]]:
    """The log of a level.

    Args:
        study: with levels.
        level: from 1.
        trials: rate, value after one epoch (None for no epoch) and state of each trial.
        promoted: the trial of the level below that each comes from.
        below: the trials of that level.
    """
    there = at_level(study, level)
    space = SearchSpace.from_study(there)
    events: list[dict[str, Any]] = [{"event": "run", "time": 0.0, "classes": CLASSES, "num_trials": len(trials)}]
    for number, (rate, value, state) in enumerate(trials):
        values = {"method.schedule.rate_per_epoch": rate}
        config = space.resolve(there, values).model_dump(mode="json")
        source = None if promoted is None else promoted[number]
        about = {"trial": number, "time": 10.0 + number}
        created = {"event": "created", "values": values, "config": config, "sampler_state": {}}
        if source is not None:
            created["promoted"] = {"level": level - 1, "trial": source, "value": below[source][1]}
        events += [created | about, {"event": "attempt", "attempt": 1} | about]
        if value is not None:
            result = epoch_result(1, value, (1, value), rate)
            events.append({"event": "epoch", "attempt": 1, "result": result, "state": state} | about)
        if state != "running":
            events.append({"event": "ended", "state": state, "error": None, "sampler_state": {}} | about)
    return events


def write_level(folder: Path, study: Study, events: list[dict[str, Any]]) -> StudyHistory:
    """The folder of a level, or of the study itself."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(dump_config(study))
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    history = StudyHistory.replay(events)
    write_tables(folder, study, history)
    return history
