"""A new user's first trial: from the wheel to a trial at work, in a home and a virtual environment that are new.

    make dist && python benchmarks/from_wheel.py dist/wsml_study-*.whl --constraint constraints.txt

Nothing of the caller's environment is kept but pip's configuration. torch and torchvision are installed first, which is
printed and not counted; then `pip install` of the wheel with an empty cache, and `wsml-study run --demo` in an empty
folder until its first epoch begins, which is its end less its own seconds, as the event log has them.

Standard library only, so that another account can run it: `runuser --login USER --command "python3 from_wheel.py ..."`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--constraint", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        user = User(Path(home))
        constraint = ["--constraint", str(arguments.constraint.absolute())] if arguments.constraint else []
        made = user.seconds(sys.executable, "-m", "venv", "venv")
        torch = user.seconds("venv/bin/pip", "install", "--quiet", *constraint, "torch", "torchvision")
        print(f"before: virtual environment {made:.0f} s, torch {torch:.0f} s")
        wheel = str(arguments.wheel.absolute())
        installed = user.seconds("venv/bin/pip", "install", "--quiet", *constraint, wheel)
        at_work = user.first_trial()
        print(
            f"wheel installed after {installed:.0f} s, first trial at work {at_work:.0f} s later: "
            f"{installed + at_work:.0f} s"
        )


class User:
    """Runs commands in a new home, with nothing else of this environment."""

    def __init__(self, home: Path) -> None:
        self.home = home
        pip = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
        self.environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **pip}

    def seconds(self, *command: str) -> float:
        """How long a command takes."""
        started = time.monotonic()
        subprocess.run(command, cwd=self.home, env=self.environment, check=True)
        return time.monotonic() - started

    def first_trial(self) -> float:
        """Seconds until the first trial of the demo is at work; the study is interrupted then."""
        folder = self.home / "empty"
        folder.mkdir()
        started = time.time()
        process = subprocess.Popen(
            ["../venv/bin/wsml-study", "run", "--demo"],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            event = first_epoch(folder / "results/rejection_rate/events.jsonl", process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
        seconds: dict[str, float] = event["result"]
        return event["time"] - started - seconds["train_seconds"] - seconds["validation_seconds"]


def first_epoch(log: Path, process: subprocess.Popen) -> dict:
    """The first event of an epoch."""
    while process.poll() is None:
        time.sleep(0.2)
        for line in log.read_text().splitlines() if log.exists() else ():
            if '"event": "epoch"' in line:
                return json.loads(line)
    raise RuntimeError("the study ended without an epoch")


if __name__ == "__main__":
    main()
