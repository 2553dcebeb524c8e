"""`cluster.yaml` for real: `ray up` over ssh, a study submitted, its results fetched, `ray down`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.hosts import hosts
from tests.end_to_end.machines import free_port

REPOSITORY = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")
STUDY = """\
name: far
data: {dataset: digit_scenes}
method: {name: LL-R, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 2, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
search:
  method.schedule.rate_per_epoch: {float: {low: 0.001, high: 0.1, log: true}}
resources: {workers_per_trial: 2, cpus_per_worker: CPUS}
trials: 4
"""
"""A worker takes all CPUs of a host, so that a trial needs both."""


def cluster_file(folder: Path, key: Path, head: str, worker: str) -> Path:
    """Ours with hosts, user and key in their places; hosts share this machine's packages and install nothing."""
    text = (REPOSITORY / "cluster.yaml").read_text()
    for placeholder, value in (("HEAD_HOST", head), ("WORKER_HOST_1", worker), ("ssh_user: USER", "ssh_user: root")):
        assert placeholder in text
        text = text.replace(placeholder, value)
    text = text.replace("# ssh_private_key: ~/.ssh/id_ed25519", f"ssh_private_key: {key}")
    lines = [line for line in text.splitlines() if "pip install --quiet" not in line]
    assert len(lines) == len(text.splitlines()) - 1
    path = folder / "cluster.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.ssh
@pytest.mark.timeout(1200)
def test_a_cluster_over_ssh_runs_a_study_from_a_laptop(cli, tmp_path):
    with hosts(tmp_path, 2) as (key, (head, worker)):
        for host in (head, worker):
            (host.home / "wsml-venv").symlink_to(sys.prefix)
        laptop = tmp_path / "laptop"
        laptop.mkdir()
        cli.environment |= {"HOME": str(laptop)}
        config = cluster_file(tmp_path, key, head.address, worker.address)
        ray(cli, "get-auth-token", "--generate")
        ray(cli, "up", "--yes", "--no-config-cache", config)
        port = free_port()
        tunnel = subprocess.Popen(
            [RAY, "dashboard", config, "--port", str(port)], env=cli.environment, stdout=subprocess.DEVNULL
        )
        try:
            there = ("study.yaml", "--address", f"http://127.0.0.1:{port}")
            wait_until_it_asks_for_a_token(there[-1])
            cli.write("study.yaml", STUDY.replace("CPUS", str(os.cpu_count())))
            printed = cli("submit", *there, "--storage", tmp_path / "shared", timeout=600)
            assert "cluster of 2 machines" in printed
            assert "token authentication on" in printed
            assert "4 of 4 trials ended" in printed
        finally:
            tunnel.kill()
            tunnel.wait()
        ray(cli, "rsync-down", config, f"{tmp_path}/shared/", f"{laptop}/fetched/")
        ray(cli, "down", "--yes", config)
        trials = pq.read_table(laptop / "fetched/far/trials.parquet").to_pandas()
        assert trials["state"].tolist() == ["complete"] * 4


def ray(cli, *arguments: object) -> str:
    done = subprocess.run(
        [RAY, *map(str, arguments)],
        cwd=REPOSITORY,
        env=cli.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def wait_until_it_asks_for_a_token(address: str) -> None:
    deadline = time.monotonic() + 120
    while (status := answer_without_token(f"{address}/api/version")) is None:
        assert time.monotonic() < deadline, f"nothing answers at {address}"
        time.sleep(0.5)
    assert status == 401


def answer_without_token(url: str) -> int | None:
    try:
        return int(urllib.request.urlopen(url, timeout=5).status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
