"""Where the time of a study goes: py-spy samples every process that `wsml-study run` starts, and this adds them up.

    python benchmarks/profile_study.py studies/rejection_rate.yaml
    python benchmarks/profile_study.py studies/rejection_rate.yaml --source ../earlier    another checkout of ours

Samples of busy threads are counted by process (driver, Tune actor, controller, worker, the rest of Ray) and, within
workers, by the first function on the stack, from its innermost frame outwards, that says what is done. Sampling costs a
few percent itself. Needs py-spy, which `ray[default]` brings.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

RATE = 25
"""Samples a second and process."""

PY_SPY = ("py-spy", "record", "--subprocesses", "--format", "raw", "--rate", str(RATE))

PROCESSES = {
    "worker": "serve (wsml_study/tuning/worker_loop.py",
    "driver": "main (wsml_study/__main__.py",
    "Tune actor": "wsml_study/tuning/workers.py",
    "controller": "ray/train/v2/_internal/execution/controller",
}
WORK = {
    "imports": ("_find_and_load",),
    "waiting for commands": ("next_command", "get (ray/_private/worker.py"),
    "backward": ("backward (torch",),
    "optimizer": ("step (torch/optim", "step (wsml_study/training/fused_steps.py", "zero_grad (torch"),
    "method and its selection": ("wsml_study/methods/",),
    "memorization": ("wsml_study/training/memorization.py",),
    "mAP": ("wsml_study/training/average_precision.py", "map_and_ap ("),
    "validation, forward": ("_scores (wsml_study", "logits_of (wsml_study"),
    "forward": ("forward (wsml_study/training/classifier.py", "normalized ("),
    "fetching batches": ("_batches (wsml_study", "wsml_study/training/inputs.py"),
    "data and model": ("_start (wsml_study/tuning/worker_loop.py",),
}
"""What is done -> parts of frames that say so, looked for in this order."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--source", type=Path, default=Path(__file__).parent.parent, help="checkout that is run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        lines = record(arguments.study.resolve(), arguments.source.resolve(), Path(folder))
        print(f"{arguments.study.stem}: {time.monotonic() - started:.0f} s with its start, sampled")
    show("CPU seconds by process", added_up(lines, process_of))
    in_workers = [line for line in lines if process_of(line) == "worker"]
    show("of which in workers", added_up(in_workers, work_of))


def record(study: Path, source: Path, folder: Path) -> list[str]:
    """Stacks with their counts, a line each, outermost frame first."""
    profile = folder / "profile.txt"
    run = (sys.executable, "-m", "wsml_study", "run", str(study), "--storage", str(folder / "results"))
    subprocess.run(
        [*PY_SPY, "-o", str(profile), "--", *run],
        check=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(source)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return profile.read_text().splitlines()


def process_of(line: str) -> str:
    return next((name for name, part in PROCESSES.items() if part in line), "the rest of Ray")


def work_of(line: str) -> str:
    frames = line.rpartition(" ")[0].split(";")
    found = [name for name, parts in WORK.items() if any(part in frame for frame in frames for part in parts)]
    return found[0] if found else "anything else"


def added_up(lines: Sequence[str], kind_of) -> Counter[str]:
    """Seconds by kind."""
    seconds: Counter[str] = Counter()
    for line in lines:
        seconds[kind_of(line)] += int(line.rpartition(" ")[2]) / RATE
    return seconds


def show(title: str, seconds: Counter[str]) -> None:
    total = sum(seconds.values())
    print(f"{title}: {total:.0f}")
    for name, count in seconds.most_common():
        print(f"  {name:28} {count:7.1f} s {100 * count / total:5.1f} %")


if __name__ == "__main__":
    main()
