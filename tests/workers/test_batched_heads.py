"""What a worker trains ahead in a batch, and what it trains from the start."""

from __future__ import annotations

import pytest
import torch

from tests.training.head_trials import NUM_EPOCHS, assert_equal, assert_same, config_of, one_by_one, write_features
from wsml_study.errors import TrainingError
from wsml_study.methods.contract import ALONE
from wsml_study.study.batching import can_train_together
from wsml_study.training.stacked_heads import LinearProbeTraining
from wsml_study.training.trial_data import open_trial_data
from wsml_study.workers import batched_heads
from wsml_study.workers.batched_heads import TrialBatches
from wsml_study.workers.loop import Worker, open_trial
from wsml_study.workers.protocol import RunEpochs, Start

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return write_features(tmp_path_factory.mktemp("given"))


@pytest.fixture
def configs(given):
    return [config_of(given, case, seed=seed) for seed, case in enumerate(("AN", "LL-Cp", "AN", "LL-R"))]


def all_epochs(trial):
    results = []
    while len(results) < NUM_EPOCHS:
        results += trial.run_epochs()
    return results


def test_each_trial_has_its_own_epochs_whenever_it_is_started(configs):
    batches = TrialBatches(CPU)
    curves = []
    for number, config in enumerate(configs):
        trial = batches.take(config, configs[number + 1 :], keep_best=False)
        curves.append(all_epochs(trial))
        trial.leave()
    for expected, curve in zip(one_by_one(configs), curves, strict=True):
        for one, other in zip(expected, curve, strict=True):
            assert_equal(one, other)


def test_a_batch_goes_on_without_a_trial_that_was_stopped_early(configs):
    batches = TrialBatches(CPU)
    first = batches.take(configs[0], configs[1:], keep_best=False)
    first.run_epochs()
    first.leave()
    second = batches.take(configs[1], configs[2:], keep_best=False)
    assert [result.epoch for result in all_epochs(second)] == list(range(1, NUM_EPOCHS + 1))


def test_the_state_of_an_epoch_that_the_batch_has_passed_is_that_epochs(configs):
    batches = TrialBatches(CPU)
    all_epochs(batches.take(configs[0], configs[1:], keep_best=False))
    behind = batches.take(configs[1], [], keep_best=False)
    assert len(behind.run_epochs()) == NUM_EPOCHS
    state = behind.state_after(1)
    assert state["epoch"] == 1
    resumed, straight = (LinearProbeTraining(configs[1], open_trial_data(configs[1].data)) for _ in range(2))
    resumed.load_state_dict(state)
    straight.run_epoch()
    for _ in range(NUM_EPOCHS - 1):
        assert_same(straight.run_epoch(), resumed.run_epoch())


def test_a_retried_trial_is_trained_anew(configs):
    batches = TrialBatches(CPU)
    once, again = (batches.take(configs[0], configs[1:], keep_best=False) for _ in range(2))
    assert_equal(once.run_epochs()[0], again.run_epochs()[0])


def test_a_diverged_trial_fails_when_it_is_started_itself(given, configs):
    bad = config_of(given, "AN", optimizer="sgd", learning_rate=1e38)
    batches = TrialBatches(CPU)
    all_epochs(batches.take(configs[0], [bad], keep_best=False))
    with pytest.raises(TrainingError, match="the trial diverged"):
        all_epochs(batches.take(bad, [], keep_best=False))


def test_what_does_not_fit_into_memory_is_not_trained_ahead(configs, monkeypatch):
    monkeypatch.setattr(batched_heads, "MAX_BYTES", 0)
    batches = TrialBatches(CPU)
    batches.take(configs[0], configs[1:], keep_best=False)
    assert [len(batch) for batch in batches._waiting] == [0]


def test_linear_probes_train_together_if_only_seed_method_and_rates_differ(given):
    one = config_of(given, "AN")
    assert can_train_together(
        one, config_of(given, "LL-R", seed=3, optimizer="sgd", learning_rate=0.1, weight_decay=0.1)
    )
    assert not can_train_together(one, config_of(given, "AN", batch_size=3))
    assert not can_train_together(one, config_of(given, "AN", epochs=9))
    assert not can_train_together(one, config_of(given.model_copy(update={"feature_scaling": "none"}), "AN"))


def test_a_worker_takes_a_trial_from_a_batch_unless_it_goes_on_from_a_state(configs):
    first, last = configs[:2]
    opened = []

    def open_single(config, **settings):
        opened.append(config)
        return open_trial(config, **settings)

    worker = Worker(open_single, device=CPU, peers=ALONE)
    worker.obey(Start(config=first, companions=(last,), keep_best=False))
    worker.obey(RunEpochs())
    worker.obey(Start(config=last, companions=(), keep_best=False))
    batched = worker.obey(RunEpochs())
    assert opened == []
    worker.obey(Start(config=last, companions=None, keep_best=False))
    assert opened == [last]
    [alone] = worker.obey(RunEpochs())
    assert {name for name in alone if alone[name] != batched[0][name]} <= {
        "train_seconds",
        "validation_seconds",
        "trained_together",
    }
