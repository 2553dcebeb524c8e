"""Studies of heads alone, on real Ray: trained as one they have the tables that they have trained one by one."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.processes import kill_driver

STUDY = """\
name: fused
data:
  dataset: features
  root: given
  features: {{file: x.npy, labels_file: y.npy}}
  observe: {{positives: 1}}
model: {{backbone: linear}}
method: {{name: LL-Cp, schedule: {{rate_per_epoch: 0.02}}}}
training: {{epochs: 6, batch_size: 16, learning_rate: 1e-2}}
search:
  method.name: {{choice: [AN, LL-R, LL-Cp]}}
  training.learning_rate: {{float: {{low: 0.001, high: 0.05, log: true}}}}
  training.seed: {{int: {{low: 0, high: 9}}}}
early_stopping: {{name: asha, grace_epochs: 2}}
sampler: {{name: random, seed: 1}}
trials: 12
resources: {{cpus_per_worker: 2{resources}}}
"""
CHANGING = ["attempt", "attempts", "started", "ended", "time", "train_seconds", "validation_seconds"]


def given_features(folder):
    """120 rows of features that tell four classes, with noise."""
    folder.mkdir()
    draw = np.random.RandomState(1)
    labels_NC = (draw.rand(120, 4) < 0.35).astype(np.float32)
    np.save(folder / "x.npy", labels_NC + 0.5 * draw.randn(120, 4))
    np.save(folder / "y.npy", labels_NC)


def tables(folder):
    frames = {name: pq.read_table(folder / f"{name}.parquet").to_pandas() for name in ("trials", "epochs", "classes")}
    return {name: frame.drop(columns=CHANGING, errors="ignore") for name, frame in frames.items()}


@pytest.mark.timeout(600)
def test_a_fused_study_killed_and_resumed_equals_one_that_trains_trial_by_trial(cli):
    """One slot, so that a study has one course."""
    given_features(cli.folder / "given")
    cli.write("fused.yaml", STUDY.format(resources=""))
    cli.write("single.yaml", STUDY.format(resources=", fused_trials: 1"))
    process = cli.start("run", "fused.yaml")
    events = cli.folder / "results/fused/events.jsonl"
    deadline = time.monotonic() + 200
    while not (events.exists() and events.read_text().count('"epoch"') > 10) and time.monotonic() < deadline:
        time.sleep(0.02)
    kill_driver(process)
    assert "12 of 12 trials ended" in cli("run", "fused.yaml")
    assert "12 of 12 trials ended" in cli("run", "single.yaml", "--storage", "one_by_one")
    together, apart = (tables(cli.folder / storage / "fused") for storage in ("results", "one_by_one"))
    for name, frame in apart.items():
        pd.testing.assert_frame_equal(together[name], frame, rtol=1e-5, check_exact=False)
