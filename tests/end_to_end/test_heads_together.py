"""Linear probes on real Ray: trained together their tables equal those of trials trained one by one."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.processes import kill_driver

STUDY = """\
name: heads
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


def corrections(folder):
    """Trial -> the labels that it has corrected for good."""
    files = (folder / "corrections").iterdir()
    return {int(file.stem.removeprefix("trial_")): pq.read_table(file).to_pydict() for file in files}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_heads_trained_together_killed_and_resumed_equal_heads_trained_one_by_one(cli):
    """One slot, so that a study has one course."""
    given_features(cli.folder / "given")
    cli.write("together.yaml", STUDY.format(resources=""))
    cli.write("one_by_one.yaml", STUDY.format(resources=", fused_trials: 1"))
    process = cli.start("run", "together.yaml")
    events = cli.folder / "results/heads/events.jsonl"
    deadline = time.monotonic() + 200
    while not (events.exists() and events.read_text().count('"epoch"') > 10) and time.monotonic() < deadline:
        time.sleep(0.02)
    kill_driver(process)
    assert "12 of 12 trials ended" in cli("run", "together.yaml")
    assert "12 of 12 trials ended" in cli("run", "one_by_one.yaml", "--storage", "one_by_one")
    together, apart = (tables(cli.folder / storage / "heads") for storage in ("results", "one_by_one"))
    for name, frame in apart.items():
        pd.testing.assert_frame_equal(together[name], frame, check_exact=True)
    trials = apart["trials"]
    complete = trials[(trials["method"] == "LL-Cp") & (trials["state"] == "complete")]["trial"].tolist()
    kept, again = (corrections(cli.folder / storage / "heads") for storage in ("results", "one_by_one"))
    assert sorted(kept) == complete != []
    assert kept == again
    assert "all equal to the last bit" in cli("reproduce", "together.yaml", str(complete[0]))
