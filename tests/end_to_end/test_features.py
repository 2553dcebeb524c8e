"""Studies on features, through the command line: given ones, and those of a frozen backbone."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from tests.data import trees
from tests.training.small_backbone import small_model, striped_photos

FROZEN = """\
name: frozen
data:
  dataset: table
  root: photos
  labels: {file: photos/labels.csv}
  image_size: 32
  observe: {positives: 1}
model: {backbone: shufflenet_v2_x0_5, weights: backbone.pth}
method: {name: AN}
training: {mode: linear, epochs: 2, learning_rate: 1e-3}
search:
  training.mode: {choice: [linear, linear_init]}
  training.linear_epochs: {choice: [2]}
sampler: {name: grid}
trials: 2
"""
GIVEN = """\
name: given
data:
  dataset: features
  root: mulan
  features: {file: train.arff, test_file: test.arff, classes: scene.xml}
  validation: {fraction: 0.25}
model: {backbone: linear}
method: {name: AN}
training: {epochs: 3, batch_size: 2, learning_rate: 1e-2}
"""


@pytest.mark.timeout(1200)
def test_heads_on_frozen_features_and_everything_after_them(cli):
    (cli.folder / "photos").mkdir()
    striped_photos(cli.folder / "photos")
    small_model(cli.folder)
    cli.write("frozen.yaml", FROZEN)
    described = " ".join(cli("check", "frozen.yaml").split())
    assert "the first ones of a linear probe: only the head, on frozen features; the others from its best" in described
    assert "2 of 2 trials ended" in cli("run", "frozen.yaml")
    epochs = pq.read_table(cli.folder / "results/frozen/epochs.parquet").to_pandas()
    phases = {trial: rows.sort_values("epoch")["phase"].tolist() for trial, rows in epochs.groupby("trial")}
    assert phases == {0: ["linear"] * 2, 1: ["linear"] * 2 + ["end_to_end"] * 2}
    first = epochs.loc[epochs["head_epoch"].notna()].iloc[0]
    values = epochs.loc[(epochs["trial"] == 1) & (epochs["phase"] == "linear"), "objective"].tolist()
    assert (first["trial"], first["epoch"], first["head_epoch"]) == (1, 3, 1 + values.index(max(values)))
    assert "hand_over: best" in (cli.folder / "results/frozen/study.yaml").read_text()


@pytest.mark.timeout(1200)
def test_a_head_on_given_features_is_trained_for_good(cli):
    trees.mulan(cli.folder / "mulan")
    cli.write("given.yaml", GIVEN)
    cli("train", "given.yaml", "--seeds", "2")
    for seed in (0, 1):
        folder = cli.folder / f"models/given/seed_{seed}"
        assert load_file(folder / "model.safetensors").keys() == {"head.weight", "head.bias", "mean_D", "deviation_D"}
        assert "ranking_loss" in json.loads((folder / "metrics.json").read_text())["test_metrics"]
