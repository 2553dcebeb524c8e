"""The command line as a user runs it, in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.processes import kill_driver

TIMEOUT_S = 400


class CommandLine:
    """Runs `wsml-study` in a folder."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"WSML_CACHE": str(cache), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        self.environment.pop("RAY_ADDRESS", None)
        self.program = str(Path(sys.executable).with_name("wsml-study"))
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str | Path, status: int | None = 0, timeout: float = TIMEOUT_S) -> str:
        """Run to the end, expect the exit status (None: any), and return what was printed on both streams."""
        done = subprocess.run(
            [self.program, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert status in (None, done.returncode), f"exit status {done.returncode}, expected {status}:\n{done.stdout}"
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start without waiting, in a process group of its own."""
        process = subprocess.Popen(
            [self.program, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Kill what was started and still runs, as after a test that failed: it would keep the CPUs busy."""
        for process in self._started:
            if process.poll() is None:
                kill_driver(process)

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.write_text(text)
        return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cli(tmp_path, cache):
    command_line = CommandLine(tmp_path, cache)
    yield command_line
    command_line.end()
