"""A study of eight trials that ends within a minute or two: long enough to interrupt it."""

STUDY = """\
name: interrupted
data: {dataset: digit_scenes}
method: {name: LL-Cp, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 4, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
search:
  method.schedule.rate_per_epoch: {float: {low: 0.001, high: 0.1, log: true}}
sampler: {name: tpe, seed: 3}
early_stopping: {name: asha, grace_epochs: 2, reduction_factor: 2}
trials: 8
"""
LOG = "results/interrupted/events.jsonl"
"""Its event log, from where its file is."""
