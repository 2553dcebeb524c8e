"""A real Ray head on loopback with its dashboard, as `ray start` makes one, with a token of its own."""

from __future__ import annotations

import json
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
from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from tests.end_to_end.processes import descendants


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def head(
    folder: Path, *, num_cpus: int = 2, machines: dict[str, Any] | None = None
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Its GCS address, its dashboard's, and the environment with its token.

    Args:
        folder: for its files.
        num_cpus: of the head itself.
        machines: resources and `max_workers` of machines that come by demand: raylets on this machine.
    """
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
    own = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "PATH": f"{program.parent}:{os.environ['PATH']}"}
    if machines is not None:
        config = folder / "machines.json"
        config.write_text(json.dumps(autoscaling(machines, f"127.0.0.1:{gcs}")))
        command += [f"--autoscaling-config={config}"]
        own |= {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": "1"}
        own |= {"RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID}
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(
            [*map(str, command)], env=os.environ | environment | own, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for_answer(f"http://127.0.0.1:{dashboard}/api/version", process, folder / "head.log")
        yield f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", environment
    finally:
        children = descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        for pid in [process.pid, *children]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def autoscaling(machines: dict[str, Any], gcs: str) -> dict[str, Any]:
    """A cluster file of Ray's provider for tests."""
    head_type = {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0}
    return {
        "cluster_name": "by-demand",
        "max_workers": machines["max_workers"],
        "idle_timeout_minutes": 5,
        "upscaling_speed": 1.0,
        "provider": {
            "type": "fake_multinode",
            "launch_multiple": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": gcs,
        },
        "available_node_types": {
            "ray.head.default": head_type,
            "worker": {"node_config": {}, "min_workers": 0, **machines},
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
