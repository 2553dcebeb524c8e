"""`docs/cluster/slurm.sbatch` for real: a study as a job of a local SLURM, stopped and sent again."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.slurm import slurm

SCRIPT = Path(__file__).parents[2] / "docs/cluster/slurm.sbatch"
STUDY = """\
name: far
data: {dataset: digit_scenes}
method: {name: LL-R, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 2, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
search:
  method.name: {choice: [AN, LL-R, LL-Ct]}
sampler: {name: grid}
resources: {workers_per_trial: 2, cpus_per_worker: CPUS}
trials: 3
"""
"""A worker takes all CPUs of a host, so that a trial needs both."""


@pytest.mark.ssh
@pytest.mark.timeout(1200)
def test_a_study_runs_as_a_slurm_job_and_goes_on_in_the_next(cli, tmp_path):
    cli.environment["PATH"] = f"{Path(sys.executable).parent}:{cli.environment['PATH']}"
    with slurm(2) as cluster:
        cli.write("study.yaml", STUDY.replace("CPUS", str(cluster.num_cpus)))

        def send() -> tuple[str, Path]:
            sent = cluster("sbatch", "--parsable", SCRIPT, "study.yaml", folder=tmp_path, environment=cli.environment)
            return sent.strip(), tmp_path / f"wsml-study-{sent.strip()}.log"

        def state(job: str) -> str:
            shown = cluster("scontrol", "show", "job", job, folder=tmp_path, environment=cli.environment)
            return re.search(r"JobState=(\w+)", shown)[1]

        def end(job: str) -> str:
            while (now := state(job)) in ("PENDING", "RUNNING", "COMPLETING"):
                time.sleep(1)
            return now

        job, log = send()
        while "[1/3]" not in (log.read_text() if log.exists() else ""):
            assert state(job) in ("PENDING", "RUNNING"), log.read_text()
            time.sleep(0.5)
        cli("stop", "study.yaml")
        assert end(job) == "COMPLETED", log.read_text()
        assert "cluster of 2 machines" in log.read_text()
        assert "token authentication on" in log.read_text()
        assert "3 of 3 trials ended" not in log.read_text()

        job, log = send()
        assert end(job) == "COMPLETED", log.read_text()
        assert "3 of 3 trials ended (3 complete" in log.read_text()
    assert "3 of 3" in cli("status", "study.yaml")
