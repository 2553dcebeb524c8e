"""Collecting what a long search has found: our tables against Ray's `ResultGrid.get_dataframe`, in one run.

    python benchmarks/tables.py --trials 10000 --epochs 10

The same made-up results are laid down twice: as our event log, and as the folder of a Ray Tune experiment, with a
`result.json` per trial as Tune's own logger writes it. Ray then loads the experiment and gives its data frame, a row a
trial. We replay the event log and write three tables, which a run does at its end; and read two of them, the trials and
all their epochs, which is what somebody who asks later waits for.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs
from ray.train._internal.storage import StorageContext
from ray.tune import ResultGrid
from ray.tune.analysis import ExperimentAnalysis
from ray.tune.experiment import Trial
from ray.tune.result import EXPR_RESULT_FILE

from wsml_study.record.events import read_events
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import write_tables
from wsml_study.report.loading import load
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config

NUM_CLASSES = 20


def study_of(num_trials: int, num_epochs: int) -> Study:
    description = {
        "name": "long",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.01}},
        "training": {"epochs": num_epochs},
        "search": {"method.schedule.rate_per_epoch": {"float": {"low": 0.001, "high": 0.1}}},
        "trials": num_trials,
    }
    return parse_study(description, source="long")


def results_of(chance: random.Random, num_epochs: int) -> list[dict[str, Any]]:
    """What each epoch of a trial shows."""
    results: list[dict[str, Any]] = []
    for epoch in range(1, num_epochs + 1):
        val_map = 100 * chance.random()
        before = results[-1] if results else {"best_val_map": -1.0, "best_epoch": 0}
        best = max((val_map, epoch), (before["best_val_map"], before["best_epoch"]))
        result = {name: chance.random() for name in ("train_loss", "loss_true_positive", "loss_true_negative")}
        result |= {name: chance.random() for name in ("loss_false_negative", "distrust_precision", "distrust_recall")}
        result |= {"epoch": epoch, "val_map": val_map, "val_map_true": val_map, "val_map_observed": val_map}
        result |= {"best_val_map": best[0], "best_epoch": best[1], "rejection_rate": 0.01, "num_distrusted": epoch}
        result |= {"val_ap_C": [100 * chance.random() for _ in range(NUM_CLASSES)]}
        results.append(result | {"train_seconds": 1.0, "validation_seconds": 0.5})
    return results


def events_of(study: Study) -> Iterator[dict[str, Any]]:
    """The events of a run in which every trial is complete."""
    chance, space = random.Random(0), SearchSpace.from_study(study)
    yield {"event": "run", "time": 0.0, "classes": [f"class {number}" for number in range(NUM_CLASSES)]}
    for trial in range(study.trials):
        about = {"trial": trial, "time": float(trial)}
        values = {"method.schedule.rate_per_epoch": 0.001 + 0.099 * chance.random()}
        config = space.resolve(study, values).model_dump(mode="json")
        yield about | {"event": "created", "values": values, "config": config, "sampler_state": {}}
        yield about | {"event": "attempt", "attempt": 1}
        for result in results_of(chance, study.training.epochs):
            yield about | {"event": "epoch", "attempt": 1, "result": result, "state": "running"}
        yield about | {"event": "ended", "state": "complete", "error": None, "sampler_state": {}}


def lay_down_for_ray(folder: Path, history: StudyHistory) -> Path:
    """The same as an experiment of Ray Tune."""
    states = []
    for number, trial in sorted(history.trials.items()):
        ray_trial = Trial("long", stub=True, trial_id=f"{number:05d}", config=trial.config)
        ray_trial.create_placement_group_factory()
        ray_trial.set_storage(
            StorageContext(
                storage_path=str(folder),
                experiment_dir_name="experiment",
                storage_filesystem=pyarrow.fs.LocalFileSystem(),
                trial_dir_name=f"trial_{number:05d}",
            )
        )
        own = folder / "experiment" / f"trial_{number:05d}"
        own.mkdir(parents=True)
        lines = [
            {**result, "training_iteration": epoch, "trial_id": f"{number:05d}", "config": trial.config}
            for epoch, result in sorted(trial.epochs.items())
        ]
        (own / EXPR_RESULT_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
        ray_trial.run_metadata.last_result = lines[-1]
        states.append(ray_trial.get_json_state())
    (folder / "experiment" / "experiment_state-2026.json").write_text(json.dumps({"trial_data": states}))
    return folder / "experiment"


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    study = study_of(arguments.trials, arguments.epochs)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "results" / study.name
        folder.mkdir(parents=True)
        (folder / "study.yaml").write_text(dump_config(study))
        (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events_of(study)))
        replaying, history = timed(lambda: StudyHistory.replay(read_events(folder / "events.jsonl")))
        writing, _ = timed(lambda: write_tables(folder, study, history))
        experiment = lay_down_for_ray(Path(name) / "ray", history)
        collecting, frame = timed(lambda: ResultGrid(ExperimentAnalysis(str(experiment))).get_dataframe())
        assert len(frame) == arguments.trials
        assert frame["val_map"].notna().all()
        reading, loaded = timed(lambda: (load(folder).trials, load(folder).epochs))
        assert len(loaded[0]) == arguments.trials
        command = [str(Path(sys.executable).with_name("wsml-study")), "results", str(folder), "--top", "10"]
        answering, _ = timed(lambda: subprocess.run(command, check=True, capture_output=True))
    ours = replaying + writing
    print(f"{arguments.trials:,} trials x {arguments.epochs} epochs x {NUM_CLASSES} classes")
    print(f"  Ray: ResultGrid.get_dataframe         {collecting:8.2f} s")
    print(f"  ours: replay the log {replaying:.2f} s, write tables {writing:.2f} s: {collecting / ours:.1f} times less")
    print(f"  ours: read trials and epochs          {reading:8.2f} s: {collecting / reading:.0f} times less")
    print(f"  `wsml-study results`, a process       {answering:8.2f} s")


if __name__ == "__main__":
    main()
