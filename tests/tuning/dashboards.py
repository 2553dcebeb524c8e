"""optuna-dashboard and TensorBoard, started on a study's folder and asked over HTTP on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wsml_study.tuning.tracking.optuna_journal import JOURNAL
from wsml_study.tuning.tracking.tensorboard import FOLDER

PATIENCE_S = 60.0

Ask = Callable[[str], Any]
"""A path of the server to the JSON that it answers with."""


@contextmanager
def served(program: str, *arguments: str | Path) -> Iterator[Ask]:
    """Run a program of this Python with `--port`, on a port that is free, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = Path(sys.executable).with_name(program)
    process = subprocess.Popen(
        [path, *arguments, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE_S

    def ask(place: str) -> Any:
        while True:
            assert process.poll() is None, f"{program} has ended with status {process.returncode}"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{place}", timeout=PATIENCE_S) as answer:
                    return json.load(answer)
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < deadline, f"{program} does not answer {place}"
                time.sleep(0.2)

    try:
        yield ask
    finally:
        process.terminate()
        process.wait()


def assert_dashboards_show(folder: Path, study: str, num_trials: int) -> None:
    """Both start on what a run leaves in a study's folder, and show every trial."""
    with served("optuna-dashboard", folder / JOURNAL) as ask:
        (summary,) = ask("/api/studies")["study_summaries"]
        assert summary["study_name"] == study
        trials = ask(f"/api/studies/{summary['study_id']}?after=0")["trials"]
        assert [trial["number"] for trial in trials] == list(range(num_trials))
    with served("tensorboard", "--logdir", folder / FOLDER) as ask:
        names = [f"trial_{number:05d}" for number in range(num_trials)]
        deadline = time.monotonic() + PATIENCE_S
        while sorted(ask("/data/runs")) != names:
            assert time.monotonic() < deadline, ask("/data/runs")
            time.sleep(0.5)
        assert all("map/validation" in tags for tags in ask("/data/plugin/scalars/tags").values())
