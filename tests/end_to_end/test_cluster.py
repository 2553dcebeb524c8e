"""A study on a cluster of three raylets, machines that go and come, and a bucket as storage."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest
from ray.cluster_utils import Cluster

from tests.end_to_end.processes import kill_driver
from tests.storage_server import CREDENTIALS, bucket

STUDY = """\
name: far
data: {dataset: digit_scenes}
method: {name: LL-Cp, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 2, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
search:
  method.schedule.rate_per_epoch: {float: {low: 0.001, high: 0.1, log: true}}
sampler: {name: tpe, seed: 3}
resources: {workers_per_trial: 2, gpus_per_worker: 0}
trials: 24
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head and two more machines, of two CPUs each, on loopback."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def epochs(cli, name: str) -> list[dict]:
    path = cli.folder / "results" / name / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event for event in events if event["event"] == "epoch"]


def wait(condition, *, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def assert_each_trial_once(folder, num_trials: int, num_epochs: int) -> None:
    trials = pq.read_table(folder / "trials.parquet").to_pandas()
    table = pq.read_table(folder / "epochs.parquet").to_pandas()
    assert trials["trial"].tolist() == list(range(num_trials))
    assert set(trials["state"]) == {"complete"}
    assert table.groupby("trial")["epoch"].apply(list).tolist() == [list(range(1, num_epochs + 1))] * num_trials


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_machine_goes_and_another_comes_and_every_trial_runs_once(cli, cluster):
    second = cluster.add_node(num_cpus=2)
    cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    cli.write("study.yaml", STUDY)
    process = cli.start("run", "study.yaml", "--address", cluster.address)
    wait(lambda: process.poll() is not None or len(epochs(cli, "far")) >= 6, timeout=600)
    cluster.remove_node(second, allow_graceful=False)
    wait(lambda: process.poll() is not None or len(epochs(cli, "far")) >= 16, timeout=600)
    cluster.add_node(num_cpus=2)
    printed, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, printed
    assert "cluster of 3 machines, 6 CPUs, 0 GPUs; token authentication on" in printed
    assert_each_trial_once(cli.folder / "results/far", 24, 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_in_a_bucket_goes_on_after_a_kill(cli):
    with bucket("studies") as uri:
        cli.environment |= CREDENTIALS
        text = STUDY.replace("workers_per_trial: 2", "workers_per_trial: 1").replace("trials: 24", "trials: 6")
        cli.write("study.yaml", text)
        process = cli.start("run", "study.yaml", "--storage", uri)
        while "running" not in cli("status", "study.yaml", "--storage", uri, status=None):
            time.sleep(1)
        while json.loads(cli("status", "study.yaml", "--storage", uri, "--json"))["trials"]["complete"] < 2:
            time.sleep(1)
        kill_driver(process)
        assert not (cli.folder / "results").exists()
        printed = cli("run", "study.yaml", "--storage", uri)
        assert "6 of 6 trials ended (6 complete" in printed
        assert "Tables: s3://studies/lab/far/trials.parquet" in printed
        status = json.loads(cli("status", "study.yaml", "--storage", uri, "--json"))
        assert (status["state"], status["trials"]["complete"]) == ("finished", 6)
        assert "LL-Cp" in cli("results", "study.yaml", "--storage", uri)
