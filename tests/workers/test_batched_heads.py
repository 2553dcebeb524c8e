"""What a worker has trained before its turn, and what it trains as ever."""

from __future__ import annotations

import pytest
import torch

from tests.training.head_trials import NUM_EPOCHS, assert_equal, config_of, one_by_one, write_features
from wsml_study.errors import TrainingError
from wsml_study.methods.contract import ALONE
from wsml_study.study.batching import can_train_together
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data
from wsml_study.workers import batched_heads
from wsml_study.workers.batched_heads import FusedTrials
from wsml_study.workers.loop import _Worker, open_trial

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


def test_each_trial_has_its_own_epochs_whenever_its_turn_is(configs):
    memory = FusedTrials(CPU)
    curves = []
    for number, config in enumerate(configs):
        trial = memory.take(config, configs[number + 1 :], keep_best=False)
        curves.append(all_epochs(trial))
        trial.leave()
    for expected, curve in zip(one_by_one(configs), curves, strict=True):
        for one, other in zip(expected, curve, strict=True):
            assert_equal(one, other)


def test_one_that_was_stopped_early_holds_up_nobody(configs):
    memory = FusedTrials(CPU)
    first = memory.take(configs[0], configs[1:], keep_best=False)
    first.run_epochs()
    first.leave()
    second = memory.take(configs[1], configs[2:], keep_best=False)
    assert [result.epoch for result in all_epochs(second)] == list(range(1, NUM_EPOCHS + 1))


def test_the_state_of_an_epoch_that_the_batch_has_passed_is_that_epochs(configs):
    memory = FusedTrials(CPU)
    all_epochs(memory.take(configs[0], configs[1:], keep_best=False))
    behind = memory.take(configs[1], [], keep_best=False)
    assert len(behind.run_epochs()) == NUM_EPOCHS
    state = behind.state_after(1)
    assert state["epoch"] == 1
    resumed = TrialTraining(configs[1], open_trial_data(configs[1].data))
    resumed.load_state_dict(state)
    for expected in one_by_one(configs[1:2])[0][1:]:
        assert_equal(expected, resumed.run_epoch())


def test_a_retried_trial_is_trained_anew(configs):
    memory = FusedTrials(CPU)
    once, again = (memory.take(configs[0], configs[1:], keep_best=False) for _ in range(2))
    assert_equal(once.run_epochs()[0], again.run_epochs()[0])


def test_one_that_diverged_fails_in_its_own_turn(given, configs):
    bad = config_of(given, "AN", optimizer="sgd", learning_rate=1e38)
    memory = FusedTrials(CPU)
    all_epochs(memory.take(configs[0], [bad], keep_best=False))
    with pytest.raises(TrainingError, match="the trial diverged"):
        all_epochs(memory.take(bad, [], keep_best=False))


def test_what_does_not_fit_into_memory_is_left_to_its_own_turn(configs, monkeypatch):
    monkeypatch.setattr(batched_heads, "MOST_BYTES", 0)
    memory = FusedTrials(CPU)
    memory.take(configs[0], configs[1:], keep_best=False)
    assert [len(batch) for batch in memory._batches] == [0]


def test_linear_probes_train_together_if_only_seed_method_and_rates_differ(given):
    one = config_of(given, "AN")
    assert can_train_together(
        one, config_of(given, "LL-R", seed=3, optimizer="sgd", learning_rate=0.1, weight_decay=0.1)
    )
    assert not can_train_together(one, config_of(given, "AN", batch_size=3))
    assert not can_train_together(one, config_of(given, "AN", epochs=9))
    assert not can_train_together(one, config_of(given.model_copy(update={"feature_scaling": "none"}), "AN"))


def test_a_worker_takes_a_trial_out_of_memory_unless_it_goes_on_from_a_state(configs):
    first, last = configs[:2]
    opened = []

    def open_by_itself(config, **settings):
        opened.append(config)
        return open_trial(config, **settings)

    worker = _Worker(open_by_itself, device=CPU, peers=ALONE)
    worker.obey("start", first.model_dump_json(), False, [last.model_dump_json()])
    worker.obey("epoch")
    worker.obey("start", last.model_dump_json(), False, [])
    told = worker.obey("epoch")
    assert opened == []
    worker.obey("start", last.model_dump_json(), False, None)
    assert opened == [last]
    assert told[0]["train_loss"] == pytest.approx(worker.obey("epoch")[0]["train_loss"], rel=1e-5)
