"""How the best value grew with time and with what the study used up."""

from __future__ import annotations

from dataclasses import dataclass

from wsml_study.results.ranking import UPPER_BOUND
from wsml_study.results.study_results import StudyRecord
from wsml_study.results.timeline import attempts, busy_seconds, spans, working_time


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """The end of a trial that was better than all before.

    Attributes:
        seconds: of work until then.
        device_seconds: used up until then by all trials.
        trial: its number.
        value: its objective.
    """

    seconds: float
    device_seconds: float
    trial: int
    value: float


@dataclass(frozen=True, kw_only=True)
class Devices:
    """What one trial holds while it runs: so many GPUs, or CPUs if it has no GPU."""

    number: float
    kind: str


def devices_per_trial(record: StudyRecord) -> Devices:
    """GPUs of a trial's workers, CPUs if they have none; `auto` is what the newest run's environment says."""
    resources = record.study.resources
    gpus = resources.gpus_per_worker
    each = float(bool(record.environment.get("gpus"))) if gpus == "auto" else float(gpus)
    if each > 0:
        return Devices(number=resources.workers_per_trial * each, kind="GPU")
    return Devices(number=resources.workers_per_trial * resources.cpus_per_worker, kind="CPU")


def improvements(record: StudyRecord) -> list[Improvement]:
    """Every improvement of the best objective as trials ended; `full`, which sees every label, does not count."""
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
