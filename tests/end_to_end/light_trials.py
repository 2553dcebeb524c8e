"""Trials whose epochs take no time, for what is about running trials and not about training."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import torch
from rich.console import Console

from tests.end_to_end.processes import alive
from wsml_study.cli.progress import Progress
from wsml_study.errors import TrainingError
from wsml_study.study.objective_section import Objective
from wsml_study.study.reading import parse_study
from wsml_study.study.spec import Study


@dataclass
class LightEpoch:
    """What an epoch shows."""

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


@dataclass(frozen=True)
class Greedy:
    """Opens trials on a machine with memory for one trial of seed 1, which runs out beside another worker, and for none
    of seed 2. All others fit, and that of seed 3 diverges.

    Attributes:
        folder: where workers leave their process numbers.
    """

    folder: Path

    def __call__(self, config, *, device, peers, keep_best):
        (self.folder / str(os.getpid())).touch()
        return GreedyTrial(self, config.training.seed)

    def wait_for_company(self) -> None:
        deadline = time.monotonic() + 120
        while not self.has_company() and time.monotonic() < deadline:
            time.sleep(0.05)

    def has_company(self) -> bool:
        pids = [int(file.name) for file in self.folder.iterdir() if file.name.isdigit()]
        return any(pid != os.getpid() and alive(pid) for pid in pids)


class GreedyTrial:
    def __init__(self, machine: Greedy, seed: int) -> None:
        self.machine, self.seed, self.epoch = machine, seed, 0

    def run_epoch(self) -> LightEpoch:
        first_time = self.machine.folder / f"seed-{self.seed}"
        if self.epoch == 1 and self.seed in (1, 2):
            if not first_time.exists():
                first_time.touch()
                self.machine.wait_for_company()
            if self.seed == 2 or self.machine.has_company():
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
        self.epoch += 1
        if self.epoch == 2 and self.seed == 3:
            raise TrainingError("the training loss is nan in epoch 2: the trial diverged; lower the learning rate")
        return LightEpoch(self.epoch)

    def state_dict(self):
        return {"epoch": self.epoch}

    def load_state_dict(self, state):
        self.epoch = state["epoch"]

    def distrusted_labels(self):
        return None


def study_over_seeds(num_trials: int, storage: Path, **changes) -> Study:
    """Trial n has the seed n."""
    content = {
        "name": "light",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "AN"},
        "training": {"epochs": 3, "learning_rate": 1e-3},
        "search": {"training.seed": {"int": {"low": 0, "high": num_trials - 1}}},
        "sampler": {"name": "grid"},
        "trials": num_trials,
        "resources": {"gpus_per_worker": 0},
        "storage": str(storage),
    }
    return parse_study(content | changes, source="light")


def quiet() -> tuple[Progress, StringIO]:
    """Somebody who follows a run, and what it writes."""
    written = StringIO()
    return Progress(Console(file=written, width=200), objective=Objective()), written
