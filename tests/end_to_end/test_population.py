"""A population on real Ray: networks change hands between trials, and the tables tell."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

STUDY = """\
name: population
data: {dataset: digit_scenes}
method: {name: LL-R, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 4, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
search:
  training.learning_rate: {float: {low: 1e-5, high: 1e-2, log: true}}
  method.schedule.rate_per_epoch: {float: {low: 0.001, high: 0.1, log: true}}
sampler: {name: random, seed: 3}
early_stopping: {name: pbt, interval_epochs: 1, min_trials: 2, quantile: 0.5}
trials: 6
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_worse_go_on_from_the_better_with_other_values(cli):
    cli.write("study.yaml", STUDY)
    printed = cli("run", "study.yaml")
    assert "6 of 6 trials ended (6 complete" in printed
    folder = cli.folder / "results/population"
    epochs = pq.read_table(folder / "epochs.parquet").to_pandas()
    assert epochs.groupby("trial")["epoch"].apply(list).tolist() == [[1, 2, 3, 4]] * 6
    exploits = epochs.dropna(subset=["exploited_trial"])
    assert 3 <= len(exploits) <= 18
    for _, row in exploits.iterrows():
        at = epochs[(epochs["epoch"] == row["epoch"])].set_index("trial")
        assert at.loc[int(row["exploited_trial"])]["val_map"] > row["val_map"]
        after = epochs[(epochs["trial"] == row["trial"]) & (epochs["epoch"] == row["epoch"] + 1)].iloc[0]
        assert json.loads(after["values"]) != json.loads(row["values"])
        source = json.loads(at.loc[int(row["exploited_trial"])]["values"])
        ratio = json.loads(after["values"])["training.learning_rate"] / source["training.learning_rate"]
        assert ratio != 1
        assert f"trial {row['trial']} continues from the network of trial {int(row['exploited_trial'])}" in printed
    trials = pq.read_table(folder / "trials.parquet").to_pandas()
    assert trials["attempts"].tolist() == [1] * 6, "taking over is no second attempt"
    assert not (folder / "ray").exists()
