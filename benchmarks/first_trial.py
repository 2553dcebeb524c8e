"""From the command until the first trial is at work: `wsml-study run` against Ray's documented recipe, in turns.

    python benchmarks/first_trial.py --turns 3

Both start from nothing: a new Python process, a new local Ray; ours finds its images in the cache. Ours is at work when
its first epoch begins, which is its end less its own seconds, as the event log has them; the recipe, which is that of
`trial_overhead.py`, when its training function begins.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trial_overhead import recipe

STUDY = Path(__file__).parents[1] / "studies" / "rejection_rate.yaml"
BEGUN = "begun"


def ours(study: Path) -> tuple[float, float]:
    """Seconds until the first epoch begins, and until it ends; the study is interrupted then."""
    with tempfile.TemporaryDirectory() as storage:
        started = time.time()
        command = [sys.executable, "-m", "wsml_study", "run", str(study), "--storage", storage]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            event = first_epoch(Path(storage), process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
    ended = event["time"] - started
    return ended - event["result"]["train_seconds"] - event["result"]["validation_seconds"], ended


def first_epoch(storage: Path, process: subprocess.Popen) -> dict:
    while process.poll() is None:
        time.sleep(0.2)
        for log in storage.glob("*/events.jsonl"):
            for line in log.read_text().splitlines():
                if '"event": "epoch"' in line:
                    return json.loads(line)
    raise RuntimeError("the study ended without an epoch")


def theirs() -> float:
    """Seconds until the recipe's first training function begins."""
    with tempfile.TemporaryDirectory() as storage:
        started = time.time()
        command = [sys.executable, __file__, "--recipe-in", storage]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return float((Path(storage) / BEGUN).read_text()) - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--recipe-in", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.recipe_in:
        recipe(1, arguments.recipe_in, tuned=False, begun=Path(arguments.recipe_in) / BEGUN)
        return
    turns = []
    for _ in range(arguments.turns):
        turns.append((theirs(), *ours(arguments.study)))
        print("recipe at work {:.1f} s, ours at work {:.1f} s, its first epoch ends {:.1f} s".format(*turns[-1]))
    medians = [statistics.median(column) for column in zip(*turns, strict=True)]
    print(f"medians: recipe {medians[0]:.1f} s, ours {medians[1]:.1f} s: {medians[0] / medians[1]:.2f} times")


if __name__ == "__main__":
    main()
