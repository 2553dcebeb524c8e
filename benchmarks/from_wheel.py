"""A new user's first trial: from the wheel to a trial at work, in a home and a virtual environment that are new.

    make dist && python benchmarks/from_wheel.py dist/wsml_study-*.whl --constraint constraints.txt

Nothing of the caller's environment is kept but pip's configuration. torch and torchvision are installed first, which is
printed and not counted; then `pip install` of the wheel with an empty cache, and, in an empty folder, `wsml-study run
--demo` with `wsml-study serve` beside it, until the live page lists a running trial.

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
import urllib.request
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
        shown = user.first_trial()
        print(
            f"wheel installed after {installed:.0f} s, a trial at work in the live page {shown:.0f} s later: "
            f"{installed + shown:.0f} s"
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
        """Seconds until a trial of the demo runs in the live page; the study is interrupted then."""
        folder = self.home / "empty"
        (folder / "results").mkdir(parents=True)
        started = time.monotonic()
        study, page = (self.started(folder, *command) for command in (("run", "--demo"), ("serve",)))
        try:
            address = page.stdout.readline().split()[-1]
            while not runs(address):
                if study.poll() is not None:
                    raise RuntimeError("the study ended without a trial in the page")
                time.sleep(0.2)
            return time.monotonic() - started
        finally:
            for process in (study, page):
                process.send_signal(signal.SIGINT)
                process.communicate()

    def started(self, folder: Path, *arguments: str) -> subprocess.Popen[str]:
        """A command of `wsml-study`, in the background."""
        return subprocess.Popen(
            ["../venv/bin/wsml-study", *arguments],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


def runs(address: str) -> bool:
    """Whether the live page shows a running trial."""
    studies = answer(f"{address}api/studies")["studies"]
    return any(answer(f"{address}api/study/{study['key']}")["running"] for study in studies)


def answer(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=30) as reply:
        return json.load(reply)


if __name__ == "__main__":
    main()
