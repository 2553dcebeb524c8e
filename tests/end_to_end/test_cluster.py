"""A study on a cluster of three raylets, machines that go and come, and a bucket as storage."""

from __future__ import annotations

import itertools
import json
import time

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.machines import machines
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


def events(cli, name: str) -> list[dict]:
    path = cli.folder / "results" / name / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def epochs(cli, name: str) -> list[dict]:
    return [event for event in events(cli, name) if event["event"] == "epoch"]


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
def test_a_machine_goes_and_another_comes_and_every_trial_runs_once(cli, tmp_path):
    cli.write("study.yaml", STUDY)
    with machines(tmp_path, others=2) as cluster:
        cli.environment |= cluster.token
        process = cli.start("run", "study.yaml", "--address", cluster.gcs)
        wait(lambda: process.poll() is not None or len(epochs(cli, "far")) >= 6, timeout=600)
        cluster.pull_the_plug(cluster.running[1])
        wait(lambda: process.poll() is not None or len(epochs(cli, "far")) >= 16, timeout=600)
        cluster.join()
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
        assert "LL-Cp) corrected " in cli("corrections", "study.yaml", "--storage", uri)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cluster_without_room_grows_until_the_study_has_it(cli, tmp_path):
    """Machines come by demand: the first is waited for, the second comes for the trials that are left."""
    study = STUDY.replace("workers_per_trial: 2", "workers_per_trial: 1, cpus_per_worker: 2")
    cli.write("study.yaml", study.replace("trials: 24", "trials: 6").replace("epochs: 2", "epochs: 8"))
    with machines(tmp_path, num_cpus=0, by_demand={"resources": {"CPU": 2}, "max_workers": 2}) as cluster:
        cli.environment |= cluster.token
        printed = cli("run", "study.yaml", "--address", cluster.gcs)
        assert "no machine has room for a trial; asked for one" in printed
        assert "cluster of 2 machines, 2 CPUs" in printed
        large = study.replace("name: far", "name: large").replace("cpus_per_worker: 2", "cpus_per_worker: 9")
        cli.write("large.yaml", large)
        printed = cli("run", "large.yaml", "--address", cluster.gcs, status=1)
        assert "a worker needs 9 CPUs on one machine, the largest has 2" in printed
    assert_each_trial_once(cli.folder / "results/far", 6, 8)
    begun_and_ended = [event["event"] for event in events(cli, "far") if event["event"] in ("attempt", "ended")]
    assert ("attempt", "attempt") in itertools.pairwise(begun_and_ended), "a trial on each of two machines"
