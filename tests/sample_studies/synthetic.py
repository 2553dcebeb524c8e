"""Studies as large as one likes, made up event by event: the numbers mean nothing, their course is a study's."""

from __future__ import annotations

import heapq
import json
import math
import random
from pathlib import Path
from typing import Any

import optuna

from wsml_study.methods.schedules import schedule as rate_of
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import write_tables
from wsml_study.record.trial_history import TrialHistory
from wsml_study.study.objective_section import Objective
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config

LARGE_LOSS = ["LL-R", "LL-Ct", "LL-Cp"]
SETTLED = {"AN": 80.0, "LL-R": 86.0, "LL-Ct": 85.5, "LL-Cp": 83.0}
"""mAP that a method comes to at its best rate."""

START = 1_800_000_000.0


def synthetic_study(num_trials: int, *, epochs: int = 12) -> Study:
    """A search over method, rate, warm-up and learning rate with early stopping."""
    return parse_study(
        {
            "name": "synthetic",
            "data": {"dataset": "digit_scenes"},
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.01}},
            "training": {"epochs": epochs},
            "search": {
                "method.name": {"choice": ["AN", *LARGE_LOSS]},
                "method.schedule.rate_per_epoch": {
                    "when": {"method.name": LARGE_LOSS},
                    "float": {"low": 0.001, "high": 0.03, "log": True},
                },
                "method.schedule.warmup_epochs": {"when": {"method.name": LARGE_LOSS}, "int": {"low": 1, "high": 4}},
                "training.learning_rate": {"float": {"low": 1e-4, "high": 1e-2, "log": True}},
            },
            "early_stopping": {"name": "asha", "grace_epochs": 4, "reduction_factor": 2},
            "trials": num_trials,
        },
        source="synthetic",
    )


def synthetic_events(study: Study, *, slots: int = 4, num_classes: int = 20, seed: int = 0) -> list[dict[str, Any]]:
    """What a run of the study would write down: trials side by side, half of them stopped, one in fifty failing."""
    chance = random.Random(seed)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    proposals = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    space = SearchSpace.from_study(study)
    events: list[dict[str, Any]] = []
    free = [START + 10.0] * slots
    for number in range(study.trials):
        values = space.suggest(proposals.ask())
        at = heapq.heappop(free)
        events += _trial(
            study, number, values, space.resolve(study, values).model_dump(mode="json"), at, num_classes, chance
        )
        heapq.heappush(free, events[-1]["time"] + 0.5)
    events.sort(key=lambda event: event["time"])
    classes = [f"class {number}" for number in range(num_classes)]
    environment = {
        "python": "3.11.7",
        "packages": {"torch": "2.11.0", "ray": "2.60.0"},
        "platform": "Linux",
        "cpu": "a processor",
        "num_cpus": 8,
        "gpus": [],
        "git_revision": "0123456789abcdef",
        "command": "wsml-study run synthetic.yaml",
    }
    run = {"event": "run", "time": START, "classes": classes, "num_trials": study.trials, "environment": environment}
    return [run | {"data_fingerprint": "0123456789abcdef"}, *events]


def synthetic_confirmation(study: Study, history: StudyHistory, *, num_seeds: int = 5) -> list[dict[str, Any]]:
    """What a confirmation of the best trial of each method would write down; LL-R and LL-Ct come out alike."""
    chance = random.Random(1)
    best: dict[str, TrialHistory] = {}
    for trial in history.trials.values():
        method = trial.config["method"]["name"]
        if method not in best or (trial.value(Objective()) or 0) > (best[method].value(Objective()) or 0):
            best[method] = trial
    runs = [(seed, trial) for seed in range(1, num_seeds + 1) for trial in best.values()]
    events: list[dict[str, Any]] = [{"event": "run", "time": START, "classes": ["class 0"], "num_trials": len(runs)}]
    luck = {seed: chance.gauss(0, 0.8) for seed, _ in runs}
    for number, (seed, trial) in enumerate(runs):
        config = json.loads(json.dumps(trial.config))
        config["training"]["seed"] = config["data"]["observe"]["seed"] = seed
        value = {"LL-Ct": SETTLED["LL-R"]}.get(config["method"]["name"], SETTLED[config["method"]["name"]])
        value += luck[seed] + chance.gauss(0, 0.3) - 1
        about = {"trial": number, "time": START + number}
        values = trial.values | {"training.seed": seed, "data.observe.seed": seed}
        created = {
            "event": "created",
            "values": values,
            "config": config,
            "sampler_state": {},
            "confirms": trial.number,
        }
        result = _result(1, value, (1, value), None, 1, chance)
        events += [
            created | about,
            {"event": "attempt", "attempt": 1} | about,
            {
                "event": "epoch",
                "attempt": 1,
                "result": result,
                "state": "complete",
                "test": {"test_map": value - 1, "best_epoch": 1, "test_ap_C": [value - 1]},
            }
            | about,
        ]
    return events


def write_folder(folder: Path, study: Study, events: list[dict[str, Any]]) -> StudyHistory:
    """The folder as a run of the study would leave it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(dump_config(study))
    write_events(folder, events)
    history = StudyHistory.replay(events)
    write_tables(folder, study, history)
    return history


def write_events(folder: Path, events: list[dict[str, Any]]) -> None:
    """The log alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def _trial(
    study: Study,
    number: int,
    values: dict[str, Any],
    config: dict[str, Any],
    at: float,
    num_classes: int,
    chance: random.Random,
) -> list[dict[str, Any]]:
    method = config["method"]["name"]
    schedule = config["method"]["schedule"]
    off = (
        0.0 if schedule is None else abs(math.log10((schedule["rate_per_epoch"] or schedule["final_rate"] / 4) / 0.005))
    )
    rate_off = abs(math.log10(values.get("training.learning_rate", 1e-3) / 1e-3))
    settled = SETTLED[method] - 6 * off - 4 * rate_off + chance.gauss(0, 0.5)
    fails = number % 50 == 7
    stops = not fails and settled < 79 + chance.gauss(0, 1)
    last = 2 if fails else 4 if stops else study.training.epochs
    created = {"event": "created", "time": at, "trial": number, "values": values, "config": config, "sampler_state": {}}
    events: list[dict[str, Any]] = [created, {"event": "attempt", "time": at, "trial": number, "attempt": 1}]
    best = (1, 0.0)
    for epoch in range(1, last + 1):
        at += chance.uniform(2, 4)
        val_map = settled * (1 - math.exp(-epoch / 1.5)) + chance.gauss(0, 0.3)
        best = max(best, (epoch, val_map), key=lambda one: one[1])
        rate = None if schedule is None else float(rate_of(**schedule)(epoch))
        state = "running" if fails or epoch < last else "stopped" if stops else "complete"
        result = _result(epoch, val_map, best, rate, num_classes, chance)
        events.append({"event": "epoch", "time": at, "trial": number, "attempt": 1, "result": result, "state": state})
    ending = {"state": "failed" if fails else events[-1]["state"], "error": "loss is not finite" if fails else None}
    return [*events, {"event": "ended", "time": at + 0.1, "trial": number, "sampler_state": {}} | ending]


def _result(
    epoch: int, val_map: float, best: tuple[int, float], rate: float | None, num_classes: int, chance: random.Random
) -> dict[str, Any]:
    distrusts = rate is not None and rate > 0
    return {
        "epoch": epoch,
        "train_loss": 1.0 / epoch,
        "val_map": val_map,
        "val_map_true": val_map,
        "val_map_observed": val_map / 2,
        "val_ap_C": [min(100.0, val_map + chance.gauss(0, 4)) for _ in range(num_classes)],
        "best_epoch": best[0],
        "best_val_map": best[1],
        "rejection_rate": rate,
        "num_distrusted": round(1e4 * rate) if distrusts else 0,
        "distrust_precision": 0.8 + chance.gauss(0, 0.05) if distrusts else None,
        "distrust_recall": min(1.0, 5 * rate) if distrusts else None,
        "loss_true_positive": 2.0 / epoch,
        "loss_true_negative": 0.1 / epoch,
        "loss_false_negative": 0.1 * epoch if rate is not None else 0.3 - 0.02 * abs(epoch - 6),
        "train_seconds": 2.0,
        "validation_seconds": 0.5,
    }
