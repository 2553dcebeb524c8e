"""Priors on searched keys: what they draw, how often, and that an interruption changes nothing."""

import statistics

import pytest

from wsml_study.errors import StudyFileError
from wsml_study.study.search_space import SearchSpace
from wsml_study.testing.sampler_contract import SimulatedSlot, study_with
from wsml_study.tuning.prior_draws import PriorDraws

RATE = "method.schedule.rate_per_epoch"


def search(rate: dict, weights: list[float] | None = None) -> dict:
    methods = {"choice": ["AN", "LL-R"]} | ({} if weights is None else {"weights": weights})
    return {"method.name": methods, RATE: {"float": {"low": 1e-4, "high": 0.1, "log": True} | rate}}


def draws_of(study, count: int) -> list[dict]:
    draws = PriorDraws(study, SearchSpace.from_study(study))
    return [values for number in range(count) if (values := draws.values(number, 0)) is not None]


def test_draws_follow_the_prior_within_the_range():
    study = study_with("random", search=search({"prior": {"mean": 0.004, "deviation": 2}}, [1, 3]))
    drawn = draws_of(study, 1000)
    rates = sorted(values[RATE] for values in drawn if RATE in values)
    assert len(drawn) == 1000
    assert 700 < len(rates) < 800, "three of four"
    assert statistics.median(rates) == pytest.approx(0.004, rel=0.1)
    assert rates[int(0.84 * len(rates))] == pytest.approx(0.008, rel=0.15), "a deviation above the mean"
    assert rates[0] >= 1e-4
    assert rates[-1] <= 0.1


def test_steps_and_whole_numbers_are_kept():
    study = study_with(
        "random",
        search={
            "training.batch_size": {"int": {"low": 8, "high": 32, "step": 8, "prior": 24}},
            "training.weight_decay": {"float": {"low": 0, "high": 1, "step": 0.25, "prior": 0.5}},
        },
    )
    space = {key.path: key for key in SearchSpace.from_study(study).keys}
    drawn = draws_of(study, 200)
    assert all(space[key].contains(value) for values in drawn for key, value in values.items())
    assert statistics.mode(values["training.batch_size"] for values in drawn) == 24


def test_in_front_of_a_model_they_are_the_startup_trials_and_a_share_that_decays():
    study = study_with("tpe", {"n_startup_trials": 5}, search=search({"prior": 0.004}))
    draws = PriorDraws(study, SearchSpace.from_study(study))
    assert [draws.share(number) for number in (0, 4, 9, 49)] == pytest.approx([1, 1, 0.25, 0.01])


def test_a_search_with_priors_proposes_the_same_after_interruptions(tmp_path):
    study = study_with("tpe", {"n_startup_trials": 3}, search=search({"prior": 0.004}))
    whole = SimulatedSlot(study, tmp_path / "whole")
    whole.run(9)
    for _ in range(3):
        parts = SimulatedSlot(study, tmp_path / "parts")
        parts.run(3)
        parts.log.close()
    assert parts.proposals == whole.proposals


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        ({"prior": 0.5}, "expected a prior between low=0.0001 and high=0.1, got 0.5"),
        ({"prior": {"mean": 0.01, "deviation": 0.5}}, "a deviation is a factor greater than 1, got 0.5"),
    ],
)
def test_impossible_priors_are_refused(rate, message):
    with pytest.raises(StudyFileError, match=message):
        study_with("tpe", search=search(rate))


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1], "a weight for each of the 2 choices, got 1"), ([0, 0], "at least one weight greater than 0")],
)
def test_impossible_weights_are_refused(weights, message):
    with pytest.raises(StudyFileError, match=message):
        study_with("tpe", search=search({}, weights))


def test_a_grid_takes_no_priors():
    with pytest.raises(StudyFileError, match="the sampler `grid` takes no priors"):
        study_with("grid", search={"method.name": {"choice": ["AN", "LL-R"], "weights": [1, 2]}})
