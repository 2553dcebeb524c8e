"""The best objective of a study over time and over device time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wsml_study.results.ranking import UPPER_BOUND
from wsml_study.results.study_results import StudyRecord
from wsml_study.results.timeline import busy_seconds, working_time


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """A trial that ended with a better objective than all earlier ones.

    Attributes:
        seconds: time that the study had been running.
        device_seconds: GPU (or CPU) time of all trials so far.
        trial: number of the trial.
        value: objective of the trial.
    """

    seconds: float
    device_seconds: float
    trial: int
    value: float


@dataclass(frozen=True, kw_only=True)
class Devices:
    """Devices that a running trial occupies: GPUs, or CPUs if it uses no GPU."""

    number: float
    kind: str


def devices_per_trial(record: StudyRecord) -> Devices:
    """Devices of a trial's workers; `auto` is resolved by the recorded environment of the newest run."""
    resources = record.study.resources
    gpus = resources.gpus_per_worker
    each = float(bool(record.environment.get("gpus"))) if gpus == "auto" else float(gpus)
    if each > 0:
        return Devices(number=resources.workers_per_trial * each, kind="GPU")
    return Devices(number=resources.workers_per_trial * resources.cpus_per_worker, kind="CPU")


def improvements(record: StudyRecord) -> list[Improvement]:
    """Improvements of the best objective, in the order of time; without `full`, which sees all labels."""
    tries, runs = record.attempts, record.runs
    number, sign = devices_per_trial(record).number, record.study.objective.sign
    counted = record.trials[record.trials["method"] != UPPER_BOUND].dropna(subset=["value", "ended"])
    in_order = counted.sort_values(["ended", "trial"])
    values = sign * in_order["value"]
    better = in_order[values > values.cummax().shift(fill_value=-math.inf)]
    return [
        Improvement(
            seconds=working_time(runs, ended),
            device_seconds=number * busy_seconds(tries, ended),
            trial=int(trial),
            value=float(value),
        )
        for ended, trial, value in zip(better["ended"], better["trial"], better["value"], strict=True)
    ]
