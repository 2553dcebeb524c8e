"""`objective.beside` and `objective.constraints` in the study file."""

from __future__ import annotations

from typing import Any

import pytest

from wsml_study.errors import StudyFileError
from wsml_study.study.objective_section import Objective
from wsml_study.study.reading import parse_study

SEARCH: dict[str, Any] = {"training.learning_rate": {"float": {"low": 1e-4, "high": 1e-2, "log": True}}}
BESIDE = {"objective": {"beside": "train_seconds"}}
RATE = "method.schedule.rate_per_epoch"
BOUND = {"objective": {"constraints": {"of1": {"min": 60}}}}
CONTENT = {
    "name": "b",
    "data": {"dataset": "digit_scenes"},
    "method": {"name": "AN"},
    "training": {"epochs": 20},
    "search": SEARCH,
    "trials": 4,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {
                "data": {"dataset": "digit_scenes", "validation": {"labels": "estimated"}},
                "objective": {"metric": "best_val_of1"},
            },
            "`estimated` ranks trials by mAP, and the objective is best_val_of1",
        ),
        ({"objective": {"beside": "map"}}, "is the metric of the objective already"),
        ({"objective": {"beside": "speed"}}, "objective.beside"),
        ({"objective": {"constraints": {}}}, "expected at least one measure"),
        ({"objective": {"constraints": {"of1": {}}}}, "expected `min`, `max` or both"),
        ({"objective": {"constraints": {"of1": {"min": 9, "max": 2}}}}, "expected min <= max, got min=9, max=2"),
        ({"objective": {"constraints": {"of1": {"min": 0.6}}}}, "of1 is in percent: expected min 60, if that is meant"),
        ({"search": {RATE: {"auto": False}}}, "expected `auto: true`, or a range in its place"),
        (BESIDE | {"search": {}, "trials": 1}, "has one config"),
        (BESIDE | {"early_stopping": {"name": "asha"}}, "compares trials by one figure; use none"),
        (BESIDE | {"confirm": {"seeds": 3}}, "export --front"),
        (BESIDE | {"sampler": {"name": "gp"}}, "looks for one objective; use tpe, random, grid"),
        (BESIDE | {"seeds": 3}, "cannot go with `seeds`"),
        (BESIDE | {"factors": {"training.seed": [0, 1]}}, "cannot go with `factors`"),
        (BOUND | {"stop_when": {"expected_regret": 0.2}}, "cannot go with `stop_when`"),
        (BOUND | {"fidelity": [{"set": {"training.epochs": 2}, "survivors": 1}]}, "cannot go with `fidelity`"),
        (
            {"objective": {"constraints": {"total_seconds": {"max": 60}}}, "early_stopping": {"name": "asha"}},
            "takes less time than its config does",
        ),
    ],
)
def test_what_it_cannot_go_with_is_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(StudyFileError, match=expected):
        parse_study(CONTENT | changes, "b")


def test_a_constraint_that_is_no_mapping_is_one_problem() -> None:
    with pytest.raises(StudyFileError) as raised:
        parse_study(CONTENT | {"objective": {"constraints": {"of1": 60}}}, "b")
    assert str(raised.value).startswith("b: 1 problem\n")


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "random", "grid", "qmc"])
def test_samplers_that_take_two_objectives(sampler: str) -> None:
    search = {"training.batch_size": {"choice": [8, 16, 32]}}
    study = parse_study(CONTENT | BESIDE | {"sampler": {"name": sampler}, "search": search}, "b")
    assert study.objective.second is not None
    assert study.objective.second.sign == -1


def test_constraints_go_with_early_stopping_and_confirmation() -> None:
    parse_study(CONTENT | BOUND | {"early_stopping": {"name": "asha"}, "confirm": {"seeds": 3}}, "b")


def test_what_is_missed_is_said_with_the_bound() -> None:
    objective = Objective.model_validate({"constraints": {"of1": {"min": 60}, "train_seconds": {"max": 2, "min": 1}}})
    assert objective.missed({"of1": 60.0, "train_seconds": 2.0}) is None
    assert objective.missed({"of1": 58.2345, "train_seconds": 2.5}) == "of1 58.23 < 60; train_seconds 2.5 > 2"
    assert objective.missed({"of1": 59.99999, "train_seconds": 0.5}) == "of1 59.99999 < 60; train_seconds 0.5 < 1"
    assert objective.missed({"of1": None, "train_seconds": 1.5}) == "of1 unknown"
    assert objective.violations({"of1": 58.0, "train_seconds": 0.5}) == {"of1": 2.0, "train_seconds": 0.5}
    assert objective.violations({"of1": 58.0}) is None


def test_a_config_outside_its_search_has_one_objective() -> None:
    objective = Objective.model_validate({"metric": "best_val_of1"} | BESIDE["objective"] | BOUND["objective"])
    assert objective.alone == Objective.model_validate({"metric": "best_val_of1"})
