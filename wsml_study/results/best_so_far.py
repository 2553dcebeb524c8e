"""The best objective of a study over time and over device time."""

from __future__ import annotations

from dataclasses import dataclass

from wsml_study.results.ranking import UPPER_BOUND
from wsml_study.results.study_results import StudyRecord
from wsml_study.results.timeline import attempts, busy_seconds, spans, working_time


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
    tries, runs = attempts(record.events), spans(record.events)
    number, sign = devices_per_trial(record).number, record.study.objective.sign
    counted = record.trials[record.trials["method"] != UPPER_BOUND].dropna(subset=["value", "ended"])
    found: list[Improvement] = []
    for _, trial in counted.sort_values(["ended", "trial"]).iterrows():
        if not found or sign * trial["value"] > sign * found[-1].value:
            found.append(
                Improvement(
                    seconds=working_time(runs, trial["ended"]),
                    device_seconds=number * busy_seconds(tries, trial["ended"]),
                    trial=int(trial["trial"]),
                    value=float(trial["value"]),
                )
            )
    return found
