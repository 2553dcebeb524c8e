"""A trial of a population goes on from another's network with its own numbers."""

from __future__ import annotations

import pytest

from tests.training.bit_for_bit import through_a_file, without_times
from tests.training.striped_trials import METHODS, config_of, small_data
from wsml_study.errors import TrainingError
from wsml_study.study.method_section import MethodName, Schedule
from wsml_study.training.trial import TrialTraining

BESTS = ("best_objective", "best_val_map", "best_epoch")


def figures(result):
    return {name: value for name, value in without_times(result).items() if name not in BESTS}


def with_rate(config, rate: float):
    method = config.method.model_copy(update={"schedule": Schedule(rate_per_epoch=rate)})
    return config.model_copy(update={"method": method})


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("name", METHODS)
def test_with_the_same_numbers_it_does_what_the_other_would_have_done(name, optimizer):
    config, data = config_of(name, optimizer=optimizer), small_data()
    source = TrialTraining(config, data)
    source.run_epoch()
    state = through_a_file(source.state_dict())
    taker = TrialTraining(config, data)
    taker.take_over(state, best_objective=99.0, best_val_map=99.0, best_epoch=1)
    after = taker.run_epoch()
    assert figures(after) == figures(source.run_epoch())
    assert (after.best_val_map, after.best_epoch) == (99.0, 1), "its best epochs are its own"


def test_its_own_numbers_are_those_that_count():
    data = small_data()
    source = TrialTraining(config_of(MethodName.LL_R, learning_rate=0.01), data)
    source.run_epoch()
    state = through_a_file(source.state_dict())
    config = config_of(MethodName.LL_R, learning_rate=0.002, head_learning_rate_multiplier=3.0, weight_decay=0.1)
    taker = TrialTraining(with_rate(config, 0.2), data)
    taker.take_over(state, best_objective=0.0, best_val_map=0.0, best_epoch=1)
    groups = taker.optimizer.param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.002, 0.1), (pytest.approx(0.006), 0.1)]
    for group, own in zip(source.optimizer.param_groups, groups, strict=True):
        group.update(lr=own["lr"], weight_decay=own["weight_decay"])
    source.method.schedule = taker.method.schedule
    after = taker.run_epoch()
    assert figures(after) == figures(source.run_epoch())
    assert (after.epoch, after.rejection_rate) == (2, 0.2)


@pytest.mark.parametrize("change", [{"seed": 1}, {"batch_size": 8}, {"optimizer": "sgd"}])
def test_a_state_that_differs_in_more_is_refused(change):
    data = small_data()
    state = TrialTraining(config_of(MethodName.AN), data).state_dict()
    with pytest.raises(TrainingError, match="differs in more than numbers of an epoch"):
        TrialTraining(config_of(MethodName.AN, **change), data).take_over(
            state, best_objective=0.0, best_val_map=0.0, best_epoch=1
        )
