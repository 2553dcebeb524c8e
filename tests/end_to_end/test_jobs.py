"""A study sent to a cluster: a real head with its dashboard and token authentication, on loopback."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from tests.end_to_end.machines import machines

STUDY = """\
name: sent
data: {dataset: digit_scenes}
method: {name: LL-R, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 30, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
search:
  method.schedule.rate_per_epoch: {float: {low: 0.001, high: 0.1, log: true}}
trials: 2
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_is_sent_followed_looked_at_stopped_and_gone_on_with(cli, tmp_path):
    cli.write("study.yaml", STUDY)
    with machines(tmp_path) as cluster:
        there = ("study.yaml", "--address", cluster.dashboard)
        assert "refuses this machine's token" in cli("submit", *there, "--storage", tmp_path / "kept", status=1)
        cli.environment |= cluster.token | {"RAY_ADDRESS": "127.0.0.1:1"}
        assert "storage: results is relative" in cli("submit", *there, status=1)
        assert "no job of study sent" in cli("status", *there, status=1)

        printed = cli("submit", *there, "--storage", tmp_path / "kept", "--detach")
        assert f"wsml-study logs study.yaml --address {cluster.dashboard} --follow" in printed
        follower = cli.start("logs", *there, "--follow")
        until_running(cli, there)
        os.kill(follower.pid, signal.SIGINT)
        followed, _ = follower.communicate(timeout=60)
        assert follower.returncode == 0, followed
        assert "Running entrypoint for job sent-run-" in followed
        assert "goes on" in followed

        said = cli("status", *there)
        assert "job sent-run-" in said
        assert f"sent in {tmp_path}/kept/sent: running by process" in said
        assert "stopped; `wsml-study run` resumes it" in cli("stop", *there)
        assert "The same command resumes the study" in cli("logs", *there)
        assert "there is nothing to stop" in cli("stop", *there, status=1)

        cli.write("study.yaml", STUDY.replace("trials: 2", "trials: 1"))
        printed = cli("submit", *there, "--storage", tmp_path / "kept")
        assert "2 of 2 trials ended" in printed or "1 of 1 trials ended" in printed
        assert "succeeded" in cli("status", *there)
    assert (tmp_path / "kept/sent/trials.parquet").exists()
    assert not (cli.folder / "results").exists()


def until_running(cli, there) -> None:
    """Wait until the study's driver has begun a trial, by what `status --json` says there."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        found = json.loads(cli("status", *there, "--json", status=None).partition("wsml-study:")[0] or "{}")
        if (found.get("study") or {}).get("running"):
            return
        time.sleep(1)
    raise AssertionError(cli("logs", *there))
