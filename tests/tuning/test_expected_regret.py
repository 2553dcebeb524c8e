"""The expected regret of a search's best config: small once it is found, large while much is unknown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.sample_studies.stories import epoch_result
from wsml_study.record.history import StudyHistory
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study
from wsml_study.tuning.expected_regret import ExpectedRegret, Observation, expected_regret

Values = dict[str, Any]
RATE, DECAY = "training.learning_rate", "training.weight_decay"
BUDGET = 40


def study(**changes: Any) -> Study:
    content = {
        "name": "searched",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "AN"},
        "training": {"epochs": 2},
        "search": {
            RATE: {"float": {"low": 1e-4, "high": 1e-1, "log": True}},
            DECAY: {"float": {"low": 1e-4, "high": 1e-1, "log": True}},
        },
        "trials": BUDGET,
    }
    return parse_study(content | changes, "searched")


def unit(value: float) -> float:
    return (math.log10(value) + 4) / 3


def easy(values: Values) -> float:
    """A hill 20 and 10 points high."""
    return 60 - 20 * (unit(values[RATE]) - 0.4) ** 2 - 10 * (unit(values[DECAY]) - 0.7) ** 2


def hard(values: Values) -> float:
    """Dozens of hills of 10 points."""
    return 50 + 5 * math.sin(20 * unit(values[RATE])) * math.cos(17 * unit(values[DECAY]))


def told(searched: Study, value: Callable[[Values], float], num_trials: int, seed: int = 0) -> StudyHistory:
    """A history of random trials, every third one around the best so far, with noise of .1."""
    space, draw = SearchSpace.from_study(searched), np.random.default_rng(seed)
    history, best = StudyHistory(), ({RATE: 1e-2, DECAY: 1e-2}, -math.inf)
    history.apply({"event": "run", "time": 0.0, "classes": ("cat", "dog")})
    for number in range(num_trials):
        values = {key: float(10 ** draw.uniform(-4, -1)) for key in (RATE, DECAY)}
        if number % 3:
            values = {key: float(np.clip(best[0][key] * 10 ** draw.normal(0, 0.3), 1e-4, 1e-1)) for key in values}
        reached = value(values) + draw.normal(0, 0.1)
        best = max(best, (values, reached), key=lambda pair: pair[1])
        config = space.resolve(searched, values).model_dump(mode="json")
        created = {"event": "created", "trial": number, "values": values, "config": config, "sampler_state": {}}
        epoch = {"event": "epoch", "trial": number, "attempt": 1, "state": "complete"}
        history.apply(created | {"time": float(number)})
        history.apply(epoch | {"time": number + 0.5, "result": epoch_result(1, reached, (1, reached), None)})
    return history


def test_it_falls_below_a_fifth_of_a_point_on_an_easy_function() -> None:
    history = told(study(), easy, BUDGET)
    regret = ExpectedRegret(study())(history)
    assert regret is not None
    assert regret <= 0.2
    found = max((trial.values for trial in history.trials.values()), key=easy)
    assert 60 - easy(found) <= 0.3


def test_it_stays_large_on_a_hard_function() -> None:
    regrets = [ExpectedRegret(study())(told(study(), hard, number)) for number in (10, 20, 30)]
    assert all(regret is not None and regret > 0.5 for regret in regrets)


def test_nothing_is_concluded_from_few_trials() -> None:
    judge = ExpectedRegret(study())
    assert judge.fewest_trials == 9
    assert judge(told(study(), easy, 9)) is None, "it takes two in a row"
    assert judge(told(study(), easy, 10)) is not None


def test_a_resumed_search_decides_as_it_would_have_done() -> None:
    whole, parts = ExpectedRegret(study()), ExpectedRegret(study())
    for number in (12, 13, 14):
        decided = whole(told(study(), easy, number))
    assert parts(told(study(), easy, 14)) == decided


def test_a_trial_that_was_stopped_counts_with_what_further_epochs_add() -> None:
    history = told(study(), easy, 4)
    for number, value in enumerate((50.0, 52.0)):
        trial = history.trials[number]
        result = epoch_result(2, value, (2, value), None)
        history.apply(
            {"event": "epoch", "trial": trial.number, "attempt": 1, "time": 9.0, "state": "complete"}
            | {"result": result}
        )
    stopped = history.trials[3]
    history.apply({"event": "ended", "trial": 3, "time": 9.0, "state": "stopped", "sampler_state": {}})
    observed = ExpectedRegret(study())._observations(list(history.trials.values()))
    before = stopped.value(study().objective)
    assert before is not None
    assert len(observed) == 4
    assert observed[-1].value >= before
    assert observed[-1].variance >= 0


def test_the_unit_is_that_of_the_objective() -> None:
    space = SearchSpace.from_study(study())
    history = told(study(), hard, 15)
    observed = [Observation(values=one.values, value=hard(one.values)) for one in history.trials.values()]
    tenfold = [Observation(values=one.values, value=10 * one.value) for one in observed]
    assert expected_regret(space, tenfold) == pytest.approx(10 * expected_regret(space, observed))
