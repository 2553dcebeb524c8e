"""How well the time left is estimated: small studies run for real, their logs replayed with the estimates.

    python benchmarks/time_left.py                  # all of them, some twenty minutes on two cores
    python benchmarks/time_left.py heads asha       # some of them
    python benchmarks/time_left.py --log FOLDER     # the log of a study that has run

From a tenth of a search on, at fifty moments, the estimate is compared with the time that the search then took. It is
right if it is within a factor of 1.5, or within two seconds: at the end of a study these are less than it takes to end.
No constant of the model was chosen on the studies of `NOT_FITTED`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wsml_study.record.events import read_events
from wsml_study.record.history import StudyHistory
from wsml_study.results.time_left import WorkLeft
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.spec import Study
from wsml_study.tuning.confirmation_run import run_and_confirm

NOT_FITTED = ("networks", "lengths", "median", "probes")
MOMENTS, FIRST, FACTOR, SECONDS = 50, 0.1, 1.5, 2.0

SCENES: dict[str, Any] = {
    "data": {"dataset": "digit_scenes", "train_share": 0.2},
    "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
    "training": {"epochs": 8, "learning_rate": 1e-3},
    "search": {
        "method.name": {"choice": ["AN", "LL-R", "LL-Ct", "ROLE"]},
        "method.schedule.rate_per_epoch": {
            "when": {"method.name": ["LL-R", "LL-Ct"]},
            "float": {"low": 0.001, "high": 0.1, "log": True},
        },
    },
    "resources": {"gpus_per_worker": 0},
}
ASHA = {"early_stopping": {"name": "asha", "grace_epochs": 1}}
BATCH_SIZES = {
    "search": {
        "method.name": {"choice": ["AN", "ROLE", "WAN", "LSAN"]},
        "training.batch_size": {"choice": [4, 8, 32]},
    }
}
ONE_SLOT = {"resources": {"gpus_per_worker": 0, "cpus_per_worker": 2}}


def studies(storage: str, folder: Path) -> Iterator[Study]:
    """The studies that are run."""
    heads: dict[str, Any] = {
        "data": {
            "dataset": "features",
            "root": str(folder),
            "features": {"file": "x.npy", "labels_file": "y.npy"},
            "observe": {"positives": 1},
        },
        "model": {"backbone": "linear"},
        "method": {"name": "LL-Cp", "schedule": {"rate_per_epoch": 0.02}},
        "training": {"epochs": 10, "batch_size": 16, "learning_rate": 1e-2},
        "search": {
            "method.name": {"choice": ["AN", "LL-R", "LL-Cp"]},
            "training.learning_rate": {"float": {"low": 0.001, "high": 0.05, "log": True}},
        },
        "sampler": {"name": "random", "seed": 1},
    }
    probes: dict[str, Any] = heads | {
        "method": {"name": "WAN"},
        "training": {"epochs": 25, "batch_size": 32, "learning_rate": 1e-2},
        "search": {
            "method.name": {"choice": ["WAN", "LSAN", "ASL", "Hill"]},
            "training.weight_decay": {"float": {"low": 1e-6, "high": 1e-2, "log": True}},
        },
    }
    lengths = {
        "data": {"dataset": "digit_scenes", "train_share": 0.4},
        "search": {
            "method.name": {"choice": ["WAN", "EPR", "LL-Cp"]},
            "training.epochs": {"choice": [3, 6, 12]},
        },
    }
    networks = {
        "data": {"dataset": "digit_scenes", "train_share": 0.05},
        "training": {"epochs": 10, "learning_rate": 1e-3, "batch_size": 32},
        "search": {
            "method.name": {"choice": ["WAN", "ASL"]},
            "model.backbone": {"choice": ["small_cnn", "resnet18", "mobilenet_v3_small"]},
        },
    }
    median = {"early_stopping": {"name": "median", "grace_epochs": 2}, "data": {"dataset": "digit_scenes"}}
    for name, content in {
        "sequential": SCENES | ONE_SLOT | {"trials": 16},
        "slots": SCENES | {"trials": 32},
        "batch_sizes": SCENES | BATCH_SIZES | {"trials": 12},
        "seeds": SCENES | {"seeds": 3, "trials": 12},
        "factors": SCENES | {"factors": {"data.train_share": [0.1, 0.2]}, "trials": 14},
        "asha": SCENES | ASHA | {"trials": 36},
        "budget": SCENES | ASHA | {"budget": {"epochs": 160}},
        "heads": heads | ONE_SLOT | {"trials": 192},
        "heads_slots": heads | {"trials": 384},
        "heads_asha": heads | ASHA | ONE_SLOT | {"trials": 192},
        "heads_confirm": heads | ONE_SLOT | {"trials": 64, "confirm": {"top": 3, "seeds": 5}},
        "networks": SCENES | networks | {"trials": 6},
        "lengths": SCENES | lengths | ONE_SLOT | {"trials": 9},
        "median": SCENES | median | {"trials": 12},
        "probes": probes | {"trials": 192},
    }.items():
        yield parse_study(content | {"name": name, "storage": storage}, source=name)


class Silent:
    """Follows a run and keeps how many trials ran at a time."""

    slots = 1

    def on_phase(self, message: str) -> None:
        """Nothing."""

    def on_notice(self, message: str) -> None:
        """Nothing."""

    def on_images(self, done: int, total: int) -> None:
        """Nothing."""

    def on_preparation(self, message: str) -> None:
        """Nothing."""

    def on_slots(self, slots: int, num_trials: int, history: StudyHistory) -> None:
        """Keep the number."""
        self.slots = slots

    def on_event(self, history: StudyHistory, event: str, number: int) -> None:
        """Nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--slots", type=int, default=2, help="with --log: trials at a time")
    parser.add_argument("--keep", type=Path, help="keep the studies' folders here")
    arguments = parser.parse_args()
    if arguments.log is not None:
        judge(read_study(arguments.log / "study.yaml"), arguments.log, arguments.slots)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write_features(folder)
        right = total = 0
        for study in studies(str(folder / "results"), folder):
            if arguments.names and study.name not in arguments.names:
                continue
            listener = Silent()
            run_and_confirm(study, listener)
            for place in (folder / "results" / study.name, folder / "results" / study.name / "confirm"):
                if place.exists():
                    counted = judge(study, place, listener.slots)
                    right, total = right + counted[0], total + counted[1]
        print(f"all: {right} of {total} ({right / total:.0%})")


def write_features(folder: Path) -> None:
    """800 rows of 64 features of ten classes, with noise."""
    draw = np.random.RandomState(1)
    labels_NC = (draw.rand(800, 10) < 0.25).astype(np.float32)
    np.save(folder / "x.npy", labels_NC @ draw.randn(10, 64) + draw.randn(800, 64))
    np.save(folder / "y.npy", labels_NC)


def judge(study: Study, folder: Path, slots: int) -> tuple[int, int]:
    """Print how many estimates are right, and return that and their number."""
    events = read_events(folder / "events.jsonl")
    started, ended = events[0]["time"], events[-1]["time"]
    num_trials = None if study.is_unbounded else events[0]["num_trials"]
    moments = np.linspace(FIRST, 1, MOMENTS, endpoint=False) * (ended - started) + started
    history, work, ratios, num_right, position = StudyHistory(), WorkLeft(study), [], 0, 0
    shown = []
    for now in moments:
        while position < len(events) and events[position]["time"] <= now:
            history.apply(events[position])
            position += 1
        left, estimated = (
            ended - now,
            work.search_seconds(history, num_trials=num_trials, slots=slots, now=float(now)),
        )
        is_right = estimated is not None and (
            left / FACTOR <= estimated <= left * FACTOR or abs(estimated - left) <= SECONDS
        )
        num_right += is_right
        if estimated is not None:
            ratios.append(estimated / left)
        shown.append("-" if estimated is None else f"{estimated:.0f}/{left:.0f}{'' if is_right else '!'}")
    which = " (confirmation)" if folder.name == "confirm" else " (not fitted)" if study.name in NOT_FITTED else ""
    print(
        f"{study.name}{which}: {ended - started:.0f} s, "
        f"{num_right} of {len(moments)} right, none yet at {len(moments) - len(ratios)}; estimate / truth "
        f"{np.percentile(ratios, 10):.2f} to {np.percentile(ratios, 90):.2f} (10 and 90 %), median "
        f"{np.median(ratios):.2f}",
        flush=True,
    )
    print("  " + " ".join(shown[::3]), flush=True)
    return num_right, len(moments)


if __name__ == "__main__":
    main()
