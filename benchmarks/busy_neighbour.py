"""An epoch on two cores, with and without a program that keeps one of them busy, by how OpenMP's threads wait.

    python benchmarks/busy_neighbour.py
    python benchmarks/busy_neighbour.py --root VOCdevkit/VOC2007 --backbone mobilenet_v2 --size 96

A trial with one thread, a trial with two, and two trials at once with a thread each, as two slots have them. Each runs
in a process of its own, since libgomp reads its variables once; all are kept to the same two cores, and so is the
neighbour, a loop that does nothing. Spin counts: 300000 is libgomp's default, 0 is what OMP_WAIT_POLICY=PASSIVE sets,
`ours` what this package sets. Seconds are of training and validation, the median over the epochs of all turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from wsml_study.openmp import SPIN_COUNT

LAYOUTS = {"1 thread": (1, 1), "2 threads": (1, 2), "two slots": (2, 1)}
"""Trials at once, and threads of each."""

LONGEST_S = 15.0
"""No further epoch begins after so many seconds."""

NEIGHBOUR = "while True: pass"


def train(arguments: argparse.Namespace) -> None:
    """A trial in this process: one epoch to warm up, then those that are timed, once a line arrives on stdin."""
    import torch

    from wsml_study.study.reading import parse_study
    from wsml_study.study.search_space import SearchSpace
    from wsml_study.training.trial import TrialTraining
    from wsml_study.training.trial_data import open_trial_data

    torch.set_num_threads(arguments.threads)
    photos = {"dataset": "voc2007", "root": arguments.root, "image_size": arguments.size}
    sections = {
        "name": "busy",
        "data": {"dataset": "digit_scenes"} if arguments.root is None else photos,
        "model": {"backbone": arguments.backbone} | ({} if arguments.root is None else {"weights": "random"}),
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
        "training": {"epochs": arguments.epochs + 1, "batch_size": arguments.batch_size, "learning_rate": 1e-3},
    }
    study = parse_study(sections, source="busy_neighbour")
    config = SearchSpace.from_study(study).resolve(study, {})
    trial = TrialTraining(config, open_trial_data(config.data), device=torch.device("cpu"))
    trial.run_epoch()
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    for _ in range(arguments.epochs):
        result = trial.run_epoch()
        print(result.train_seconds + result.validation_seconds, flush=True)
        if time.perf_counter() - started > LONGEST_S:
            break


@contextmanager
def neighbour(present: bool) -> Iterator[None]:
    if not present:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def epochs(layout: str, spin_count: str, *, busy: bool) -> list[float]:
    """Seconds of each epoch, of all trials of the layout."""
    num_trials, threads = LAYOUTS[layout]
    command = [sys.executable, *sys.argv, "--threads", str(threads)]
    environment = os.environ | {"GOMP_SPINCOUNT": spin_count}
    trials = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(num_trials)
    ]
    for trial in trials:
        trial.stdout.readline()
    with neighbour(busy):
        for trial in trials:
            trial.stdin.write("\n")
            trial.stdin.flush()
        return [float(line) for trial in trials for line in trial.communicate()[0].splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="folder of VOC 2007's photos; without it scenes")
    parser.add_argument("--backbone", default="small_cnn")
    parser.add_argument("--size", type=int, default=96, help="of photos")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--spin-counts", nargs="+", default=["300000", "10000", "0", "ours"])
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads is not None:
        train(arguments)
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    os.environ.pop("OMP_WAIT_POLICY", None)
    found: dict[tuple[str, str, bool], list[float]] = defaultdict(list)
    for _ in range(arguments.turns):
        for layout in arguments.layouts:
            for count in arguments.spin_counts:
                for busy in (False, True):
                    seconds = epochs(layout, SPIN_COUNT if count == "ours" else count, busy=busy)
                    found[layout, count, busy] += seconds
    print(
        f"{'':12}{'spin count':>12}{'quiet':>9}{'busy':>9}{'busy/quiet':>12}{'quiet/first':>13}{'epochs a minute':>20}"
    )
    for layout in arguments.layouts:
        for count in arguments.spin_counts:
            quiet, busy = (statistics.median(found[layout, count, side]) for side in (False, True))
            first = statistics.median(found[layout, arguments.spin_counts[0], False])
            rates = " and ".join(f"{60 * LAYOUTS[layout][0] / seconds:.0f}" for seconds in (quiet, busy))
            print(
                f"{layout:12}{count:>12}{quiet:>7.2f} s{busy:>7.2f} s{busy / quiet:>12.2f}{quiet / first:>13.3f}"
                f"{rates:>20}"
            )


if __name__ == "__main__":
    main()
