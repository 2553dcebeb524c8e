"""Real machines of a Ray cluster on loopback, as `ray start` makes them, with a token of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from tests.end_to_end.processes import descendants

RAY = Path(sys.executable).with_name("ray")
ADDRESS = "127.0.0.2"
"""On loopback; 127.0.0.1 Ray would replace by the machine's address in its network."""


@dataclass
class Machines:
    """A running cluster.

    Attributes:
        folder: for its files.
        gcs, dashboard: addresses.
        token: environment of who may use it.
        running: `ray start` of each machine, the head first.
    """

    folder: Path
    gcs: str
    dashboard: str
    token: dict[str, str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """One more machine."""
        command = [RAY, "start", "--block", f"--node-ip-address={ADDRESS}", "--dashboard-agent-listen-port=0"]
        own = {"PATH": f"{RAY.parent}:{os.environ['PATH']}"}
        log_file = self.folder / f"machine-{len(list(self.folder.glob('machine-*.log')))}.log"
        with log_file.open("w") as log:
            process = subprocess.Popen(
                [*map(str, command), *arguments],
                env=os.environ | self.token | own | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        wait_for(lambda: "Ray runtime started" in log_file.read_text(), process, log_file)
        return process

    def join(self, num_cpus: int = 2) -> subprocess.Popen[bytes]:
        """One more machine beside the head."""
        return self.start(f"--address={self.gcs}", f"--num-cpus={num_cpus}")

    def pull_the_plug(self, machine: subprocess.Popen[bytes]) -> None:
        """Kill -9 of all that runs on a machine."""
        self.running.remove(machine)
        for pid in [machine.pid, *descendants(machine.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        machine.wait()

    def answers(self) -> bool:
        """Whether its dashboard does."""
        try:
            urllib.request.urlopen(f"{self.dashboard}/api/version", timeout=5)
        except urllib.error.HTTPError:
            return True  # it asks for the token
        except OSError:
            return False
        return True


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, log_file.read_text()
        assert time.monotonic() < deadline, log_file.read_text()
        time.sleep(0.2)


@contextmanager
def machines(
    folder: Path, *, num_cpus: int = 2, others: int = 0, by_demand: dict[str, Any] | None = None
) -> Iterator[Machines]:
    """A cluster for the duration of a block.

    Args:
        folder: for its files.
        num_cpus: of each machine.
        others: machines beside the head.
        by_demand: resources and `max_workers` of machines that come by demand: raylets on this machine.
    """
    token = folder / "auth_token"
    token.write_text("a" * 32)
    token.chmod(0o600)
    gcs, dashboard = f"{ADDRESS}:{free_port()}", free_port()
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    cluster = Machines(folder, gcs, f"http://127.0.0.1:{dashboard}", environment)
    short = tempfile.mkdtemp(dir="/tmp")  # sockets' paths have at most 107 bytes
    arguments = ["--head", f"--port={gcs.rpartition(':')[2]}", f"--num-cpus={num_cpus}", f"--temp-dir={short}"]
    arguments += ["--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    arguments += [f"--ray-client-server-port={free_port()}", "--disable-usage-stats"]
    own: dict[str, str] = {}
    if by_demand is not None:
        (folder / "machines.json").write_text(json.dumps(autoscaling(by_demand, gcs)))
        arguments += [f"--autoscaling-config={folder}/machines.json"]
        own |= {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": "1"}
        own |= {"RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID}
    try:
        wait_for(cluster.answers, cluster.start(*arguments, **own), folder / "machine-0.log")
        for _ in range(others):
            cluster.join(num_cpus)
        yield cluster
    finally:
        for machine in reversed(list(cluster.running)):
            cluster.pull_the_plug(machine)
        shutil.rmtree(short, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def autoscaling(by_demand: dict[str, Any], gcs: str) -> dict[str, Any]:
    """A cluster file of Ray's provider for tests."""
    head_type = {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0}
    return {
        "cluster_name": "by-demand",
        "max_workers": by_demand["max_workers"],
        "idle_timeout_minutes": 5,
        "upscaling_speed": 1.0,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "launch_multiple": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": gcs,
        },
        "available_node_types": {
            "ray.head.default": head_type,
            "worker": {"node_config": {}, "min_workers": 0, **by_demand},
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }
