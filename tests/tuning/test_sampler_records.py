"""The options of Optuna's samplers and their defaults are Optuna's own."""

from __future__ import annotations

import inspect

import optuna
import pytest

from wsml_study.study.sampler_record import SAMPLERS

CLASSES = {
    "tpe": optuna.samplers.TPESampler,
    "gp": optuna.samplers.GPSampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "nsgaii": optuna.samplers.NSGAIISampler,
}


@pytest.mark.parametrize("name", CLASSES)
def test_defaults_are_those_of_optuna(name: str) -> None:
    parameters = inspect.signature(CLASSES[name]).parameters
    own = {option.key: option.default for option in SAMPLERS[name].options if option.key != "batch"}
    assert own == {key: parameters[key].default for key in own}
