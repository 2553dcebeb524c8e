"""What a trial costs beyond its own work: warm workers against Ray's documented Tune + Train recipe, in one run.

    python benchmarks/trial_overhead.py --trials 100 --recipe-trials 8

Both sides run trials of one epoch that does nothing, on one CPU worker each. "Ours" is the whole of `run_study`: data,
start of Ray, search, event log, tables. The recipe is a function trainable that fits a `TorchTrainer` with
`TuneReportCallback`, under Ray's own settings; its Ray is started once and its start is counted, too. Both run as many
trials at once as there are cores. `--tuned-recipe` gives the recipe the settings of Ray that our sessions have: a
shorter poll, no metrics, no state tracking.

Two more sides do less: plain Tune functions with `reuse_actors`, which have no worker group, and Optuna's own loop in
this process, without a log or tables.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
import ray
from ray import train, tune
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from wsml_study.cluster.session import Slots, ray_session
from wsml_study.study.reading import parse_study
from wsml_study.study.resources_section import Resources
from wsml_study.tuning.run import SLOT_MEMORY_BYTES, run_study


@dataclass
class NothingLearnt:
    epoch: int
    val_map: float = 50.0
    val_map_true: float = 50.0
    val_map_observed: float = 50.0
    val_ap_C: tuple[float, ...] = (50.0,) * 10
    best_val_map: float = 50.0
    best_epoch: int = 1
    train_loss: float = 0.0
    num_distrusted: int = 0
    train_seconds: float = 0.0
    validation_seconds: float = 0.0


class NoOpTrial:
    def __init__(self):
        self.epoch = 0

    def run_epoch(self):
        self.epoch += 1
        return NothingLearnt(self.epoch)

    def state_dict(self):
        return {"epoch": self.epoch}

    def load_state_dict(self, state):
        self.epoch = state["epoch"]


def open_no_op(config, *, device, peers, keep_best):
    return NoOpTrial()


class EndTimes:
    """Notes when each trial ended."""

    def __init__(self):
        self.ended = []

    def on_phase(self, message):
        pass

    def on_notice(self, message):
        print(message)

    def on_images(self, done, total):
        pass

    def on_preparation(self, message):
        pass

    def on_slots(self, slots, num_trials, history):
        pass

    def on_event(self, history, event, number):
        if event == "ended":
            self.ended.append(time.perf_counter())


def no_op_study(num_trials: int, storage: str):
    return parse_study(
        {
            "name": "overhead",
            "data": {"dataset": "digit_scenes"},
            "method": {"name": "AN"},
            "training": {"epochs": 1, "learning_rate": 1e-3},
            "search": {"training.learning_rate": {"float": {"low": 1e-4, "high": 1e-2, "log": True}}},
            "sampler": {"name": "random"},
            "trials": num_trials,
            "resources": {"gpus_per_worker": 0},
            "storage": storage,
        },
        source="overhead",
    )


def ours(num_trials: int, storage: str) -> tuple[float, float]:
    """Seconds of the whole study, and per trial over its second half."""
    times = EndTimes()
    started = time.perf_counter()
    outcome = run_study(no_op_study(num_trials, storage), times, open_trial=open_no_op)
    assert outcome.finished
    total = time.perf_counter() - started
    half = times.ended[len(times.ended) // 2 :]
    return total, (half[-1] - half[0]) / (len(half) - 1)


@contextmanager
def plain_ray():
    """Ray on this machine as it comes."""
    ray.init(address="local", num_cpus=len(os.sched_getaffinity(0)), log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def recipe(num_trials: int, storage: str, *, tuned: bool, begun: Path | None = None) -> float:
    """Seconds of as many trials as Ray's user guide has it; into the file `begun` goes when one began."""

    def work(config):
        if begun is not None:
            begun.write_text(str(time.time()))
        train.report({"val_map": 50.0})

    def drive(config):
        TorchTrainer(
            work,
            train_loop_config=config,
            scaling_config=train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
            run_config=train.RunConfig(
                name=f"trial-{tune.get_context().get_trial_id()}",
                storage_path=storage,
                callbacks=[TuneReportCallback()],
            ),
        ).fit()

    started = time.perf_counter()
    with ray_session(None, Path(storage) / "ray.log") if tuned else plain_ray():
        tuner = tune.Tuner(
            tune.with_resources(drive, tune.PlacementGroupFactory([{"memory": SLOT_MEMORY_BYTES}])),
            param_space={"learning_rate": tune.loguniform(1e-4, 1e-2)},
            tune_config=tune.TuneConfig(num_samples=num_trials, max_concurrent_trials=Slots(Resources())()),
            run_config=tune.RunConfig(storage_path=storage, name="recipe", verbose=0),
        )
        errors = tuner.fit().errors
        assert not errors, errors
    return time.perf_counter() - started


def plain_tune(num_trials: int, storage: str) -> float:
    """Seconds of as many function trials in actors that are used again."""

    def drive(config):
        tune.report({"val_map": 50.0})

    started = time.perf_counter()
    with plain_ray():
        tuner = tune.Tuner(
            tune.with_resources(drive, {"CPU": 1}),
            param_space={"learning_rate": tune.loguniform(1e-4, 1e-2)},
            tune_config=tune.TuneConfig(num_samples=num_trials, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=storage, name="plain", verbose=0),
        )
        errors = tuner.fit().errors
        assert not errors, errors
    return time.perf_counter() - started


def optuna_alone(num_trials: int) -> float:
    """Seconds of as many trials in Optuna's loop."""

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
        return 50.0

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    started = time.perf_counter()
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=num_trials)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--recipe-trials", type=int, default=8)
    parser.add_argument("--tuned-recipe", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as storage:
        recipe_total = recipe(arguments.recipe_trials, storage, tuned=arguments.tuned_recipe)
    with tempfile.TemporaryDirectory() as storage:
        plain_total = plain_tune(arguments.trials, storage)
    optuna_total = optuna_alone(arguments.trials)
    with tempfile.TemporaryDirectory() as storage:
        total, steady = ours(arguments.trials, storage)
    per_recipe_trial = recipe_total / arguments.recipe_trials
    print(f"recipe: {recipe_total:.1f} s for {arguments.recipe_trials} trials, {per_recipe_trial:.2f} s a trial")
    print(f"ours:   {total:.1f} s for {arguments.trials} trials, {steady:.4f} s a trial in steady state")
    print(f"ratio over a study of {arguments.trials} trials: {per_recipe_trial * arguments.trials / total:.1f}")
    print(f"ratio in steady state: {per_recipe_trial / steady:.0f}")
    print(f"plain Tune functions: {plain_total:.1f} s, {plain_total / total:.2f} times as long as ours")
    print(f"Optuna's own loop: {optuna_total:.3f} s, {optuna_total / arguments.trials * 1e3:.2f} ms a trial")


if __name__ == "__main__":
    main()
