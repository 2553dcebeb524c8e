"""A real Ray head on loopback with its dashboard, as `ray start` makes one, with a token of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def head(folder: Path, *, num_cpus: int = 2) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Its GCS address, its dashboard's, and the environment with its token."""
    token = folder / "auth_token"
    token.write_text("a" * 32)
    token.chmod(0o600)
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    gcs, dashboard = free_port(), free_port()
    program = Path(sys.executable).with_name("ray")
    command = [program, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={gcs}"]
    command += [f"--num-cpus={num_cpus}", "--include-dashboard=true", "--dashboard-host=127.0.0.1"]
    command += [f"--dashboard-port={dashboard}", "--dashboard-agent-listen-port=0", f"--temp-dir={folder}/ray"]
    command += [f"--ray-client-server-port={free_port()}", "--disable-usage-stats"]
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    path = f"{program.parent}:{os.environ['PATH']}"
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(
            [*map(str, command)],
            env=os.environ | environment | loopback | {"PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for_answer(f"http://127.0.0.1:{dashboard}/api/version", process, folder / "head.log")
        yield f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", environment
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_for_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5)
        except urllib.error.HTTPError:
            return  # it asks for the token
        except OSError:
            time.sleep(0.3)
    raise AssertionError(log.read_text())
