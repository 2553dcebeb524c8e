"""How far a study has come, read from its event log while it runs."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

PATIENCE_S = 300.0


def events_so_far(log: Path) -> list[dict[str, Any]]:
    """Events of the whole lines of a log; none before there is one."""
    text = log.read_text() if log.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def num_epochs_so_far(log: Path) -> int:
    return sum(event["event"] == "epoch" for event in events_so_far(log))


def wait_for_epochs(process: subprocess.Popen[str], log: Path, num_epochs: int) -> None:
    """Wait until the log has so many epochs, or the process has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and num_epochs_so_far(log) < num_epochs:
        assert time.monotonic() < deadline, f"{num_epochs_so_far(log)} epochs in {log}"
        time.sleep(0.05)
