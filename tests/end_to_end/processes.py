"""Processes that a command started, and their end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Children of a process, their children, and so on."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listing.splitlines())}
    found: list[int] = []
    frontier = [pid]
    while frontier:
        frontier = [child for child, parent in parents.items() if parent in frontier]
        found += frontier
    return found


def kill_driver(process: subprocess.Popen[str]) -> None:
    """Kill -9 of the command alone, and wait until the Ray that it had started is gone with it.

    Ray's agents for dashboard and environments notice only after a minute, and hold nothing: they are not waited for.
    """
    children = descendants(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 60
    # An agent takes its name only once it has started, so it is asked for again and again.
    while any(alive(pid) and not is_agent(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.2)


def is_agent(pid: int) -> bool:
    """Whether a process is one of those that a raylet keeps beside it."""
    return command_of(pid).rstrip(b"\0").rstrip().endswith(b"Agent")


def command_of(pid: int) -> bytes:
    """What a process calls itself, its arguments with a zero byte between them; nothing if it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
