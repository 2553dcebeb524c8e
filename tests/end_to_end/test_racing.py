"""Configs that are judged by several seeds on real Ray: results rank by the mean, and bad ones lose."""

from __future__ import annotations

import json
import time

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.processes import kill_driver

STUDY = """\
name: racing
data: {dataset: digit_scenes}
method: {name: AN}
training: {epochs: 2, batch_size: 64, head_learning_rate_multiplier: 1}
search:
  training.learning_rate: {choice: [2e-3, 1e-6, 1.6e-3, 2e-6]}
sampler: {name: grid, seed: 3}
seeds: 3
resources: {cpus_per_worker: 2, gpus_per_worker: 0}
trials: 4
"""
LOG = "results/racing/events.jsonl"


def runs_of(folder) -> list[tuple]:
    trials = pq.read_table(folder / "results/racing/trials.parquet").to_pylist()
    return [tuple(row[key] for key in ("trial", "config_number", "run", "value", "state")) for row in trials]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_config_has_all_its_runs_or_has_lost_and_the_mean_ranks(cli):
    cli.write("study.yaml", STUDY)
    assert "at most 12 runs" in " ".join(cli("check", "study.yaml").split())
    printed = cli("run", "study.yaml")
    runs = runs_of(cli.folder)
    assert f"4 of 4 configs ended, in {len(runs)} runs" in printed
    by_config = {number: [value for _, config, _, value, _ in runs if config == number] for number in range(4)}
    assert [len(by_config[number]) for number in (0, 1)] == [3, 3], "none loses before two have all their runs"
    best = max(by_config, key=lambda number: sum(by_config[number]) / len(by_config[number]))
    first = next(trial for trial, config, _, _, _ in runs if config == best)
    (exported,) = (cli("export", "study.yaml", "-o", "configs"), *(cli.folder / "configs").glob("*.yaml"))[1:]
    assert exported.name == f"racing-AN-trial{first}.yaml"
    assert "mean of 3 seeds" in exported.read_text()
    events = [json.loads(line) for line in (cli.folder / LOG).read_text().splitlines()]
    lost = {event["config_number"] for event in events if event["event"] == "lost"}
    assert lost == {number for number in by_config if len(by_config[number]) < 3}
    assert lost <= {1, 3}, "a rate that learns is not out of the race"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_9_changes_nothing_of_the_race(cli):
    cli.write("study.yaml", STUDY)
    cli("run", "study.yaml")
    whole = runs_of(cli.folder)
    (cli.folder / "results").rename(cli.folder / "whole")
    process = cli.start("run", "study.yaml")
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not further_run_begun(cli.folder):
        time.sleep(0.05)
    kill_driver(process)
    cli("run", "study.yaml")
    assert runs_of(cli.folder) == whole


def further_run_begun(folder) -> bool:
    return (folder / LOG).exists() and '"run":1' in (folder / LOG).read_text().replace(" ", "")
