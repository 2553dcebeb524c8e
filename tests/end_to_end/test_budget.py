"""Budgets on real Ray: what is spent, what is kept, and that a larger budget goes on with it."""

from __future__ import annotations

import time

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.processes import kill_driver
from tests.end_to_end.progress import wait_for_epochs
from wsml_study.record.events import read_events, read_history

STUDY = """\
name: limited
data: {{dataset: digit_scenes, train_share: 0.1}}
method: {{name: LL-R, schedule: {{rate_per_epoch: 0.01}}}}
training: {{epochs: {epochs}, learning_rate: 1e-3}}
search:
  training.learning_rate: {{float: {{low: 1e-4, high: 1e-2, log: true}}}}
sampler: {{name: random}}
budget: {{{budget}}}
resources: {{gpus_per_worker: 0}}
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_larger_budget_goes_on_with_the_trials_that_the_first_one_paused(cli):
    cli.write("study.yaml", STUDY.format(epochs=4, budget="epochs: 6"))
    printed = cli("run", "study.yaml")
    assert "search ended: the budget of 6 epochs is spent" in printed
    assert "Not finished" not in printed
    folder = cli.folder / "results" / "limited"
    first = read_events(folder / "events.jsonl")
    assert sum(event["event"] == "epoch" for event in first) == 6
    paused = {trial.number: trial.last_epoch for trial in read_history(folder).paused}
    assert paused
    states = pq.read_table(folder / "trials.parquet").to_pandas().set_index("trial")["state"]
    assert all(states[number] == "paused" for number in paused)
    cli("run", "study.yaml", "--budget", "10epochs")
    events = read_events(folder / "events.jsonl")
    assert events[: len(first)] == first
    assert sum(event["event"] == "epoch" for event in events) == 10, "no epoch is trained twice"
    epochs = pq.read_table(folder / "epochs.parquet").to_pandas()
    assert len(epochs) == 10
    assert "10 of 10 epochs (100%)" in cli("status", "study.yaml")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_minute_is_a_minute_also_with_a_kill_in_it(cli):
    cli.write("study.yaml", STUDY.format(epochs=6, budget=f"hours: {1 / 60}"))
    log = cli.folder / "results" / "limited" / "events.jsonl"
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, log, 5)
    kill_driver(process)
    time.sleep(5)  # between two runs nothing is spent
    printed = cli("run", "study.yaml")
    assert "search ended: the budget of 0.0166667 hours is spent" in printed
    history = read_history(log.parent)
    assert history.spending.seconds() == pytest.approx(60, rel=0.1)
    assert len(history.runs) == 2
    epochs = pq.read_table(log.parent / "epochs.parquet").to_pandas()
    assert len(epochs) == sum(trial.last_epoch for trial in history.trials.values())
    assert "finished" in cli("status", "study.yaml")
