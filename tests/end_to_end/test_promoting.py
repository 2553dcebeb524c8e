"""Trials that successive halving pauses on real Ray go on from where they were, as if they had never been paused."""

from __future__ import annotations

import json
import time

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.processes import kill_driver

STUDY = """\
name: promoting
data: {dataset: digit_scenes}
method: {name: LL-Cp, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 4, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
search:
  training.learning_rate: {choice: [1e-3, 9e-4, 1e-5, 2e-5, 3e-5, 4e-5]}
sampler: {name: grid, seed: 3}
early_stopping: {name: asha, grace_epochs: 1, reduction_factor: 2}
resources: {cpus_per_worker: 2, gpus_per_worker: 0}
trials: 6
"""
LOG = "results/promoting/events.jsonl"


def events_of(folder) -> list[dict]:
    content = (folder / LOG).read_text()  # the last line may be half written
    return [json.loads(line) for line in content[: content.rfind("\n") + 1].splitlines()]


def epochs_of(folder) -> list[tuple]:
    """Trial, epoch, and every number of it that is no time."""
    columns = ("trial", "epoch", "train_loss", "val_map", "val_map_observed", "num_distrusted", "loss_true_positive")
    rows = pq.read_table(folder / "results/promoting/epochs.parquet").to_pylist()
    return [tuple(row[column] for column in columns) for row in rows]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_paused_trial_goes_on_and_reproduces_to_the_last_bit(cli):
    cli.write("study.yaml", STUDY)
    printed = cli("run", "study.yaml")
    events = events_of(cli.folder)
    resumed = resumed_in(cli.folder)
    assert resumed
    for trial, epoch in resumed:
        assert f"trial {trial} goes on after epoch {epoch}" in printed
    trials = pq.read_table(cli.folder / "results/promoting/trials.parquet").to_pandas().set_index("trial")
    assert set(trials["state"]) <= {"complete", "stopped"}, "no trial is left paused"
    assert trials.loc[[trial for trial, _ in resumed], "attempts"].tolist() == [1] * len(resumed)
    number, epoch = resumed[0]
    assert trials.loc[number, "last_epoch"] > epoch
    assert any(event["event"] == "saved" and event["trial"] == number for event in events)
    assert not (cli.folder / "results/promoting/ray").exists()
    cli("reproduce", "results/promoting", str(number))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_9_changes_nothing_of_pauses_and_promotions(cli):
    cli.write("study.yaml", STUDY)
    cli("run", "study.yaml")
    whole = epochs_of(cli.folder), resumed_in(cli.folder)
    assert whole[1]
    (cli.folder / "results").rename(cli.folder / "whole")
    for awaited in ("paused", "resumed"):
        process = cli.start("run", "study.yaml")
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and not reached(cli.folder, awaited):
            time.sleep(0.05)
        kill_driver(process)
    cli("run", "study.yaml")
    assert (epochs_of(cli.folder), resumed_in(cli.folder)) == whole


def resumed_in(folder) -> list[tuple[int, int]]:
    """Trial and epoch of all that went on after a pause."""
    return [(event["trial"], event["epoch"]) for event in events_of(folder) if event["event"] == "resumed"]


def reached(folder, awaited: str) -> bool:
    """Whether a trial of the study has been paused, or has gone on."""
    if not (folder / LOG).exists():
        return False
    return any(awaited in (event.get("state"), event["event"]) for event in events_of(folder))
