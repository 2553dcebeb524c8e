"""Methods and their hyperparameters in a study file: who takes what, within which limits, searched only where taken."""

from __future__ import annotations

from typing import Any

import pytest

from wsml_study.errors import StudyFileError
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study


def study_of(method: dict[str, Any], search: dict[str, Any] | None = None, **sections: Any) -> Study:
    content = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": method, "search": search or {}}
    return parse_study(content | sections, "test")


@pytest.mark.parametrize(
    "method",
    [
        {"name": "WAN", "negative_weight": 0},
        {"name": "ASL", "gamma_positive": 1, "gamma_negative": 2.5, "probability_margin": 0.1, "reduction": "mean"},
        {"name": "EM+APL", "entropy_weight": 0.2, "pseudo_label_share": 1, "warmup_epochs": 3},
        {"name": "GR", "gr_b_first": -2.5, "gr_q2": 0},
        {"name": "LL-Cp", "variant": "mlcpl", "schedule": {"rate_per_epoch": 0.001}},
    ],
    ids=lambda method: method["name"],
)
def test_a_method_takes_its_own_keys(method: dict[str, Any]) -> None:
    assert study_of(method).method.model_dump(include=set(method) - {"schedule"}, mode="json") == {
        key: value for key, value in method.items() if key != "schedule"
    }


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "Hill", "gamma_negative": 1}, r"method Hill takes no `gamma_negative` \(only ASL, CSL\)"),
        (
            {"name": "EM", "schedule": {"rate_per_epoch": 0.1}},
            r"method EM takes no `schedule` \(only LL-R, LL-Ct, LL-Cp\)",
        ),
        (
            {"name": "AN", "reduction": "sum"},
            r"method AN takes no `reduction` \(only ASL, Hill, SPLC, CSL, CRISP, PU-MLC\)",
        ),
        ({"name": "LSAN", "smoothing": 0.6}, r"method\.smoothing: expected a number from 0\.0 to 0\.5, got 0\.6"),
        ({"name": "CSL", "likely_per_image": 1.5}, r"method\.likely_per_image: expected a whole number of at least 0"),
        ({"name": "LL-R", "variant": "papers"}, r"got `papers`; did you mean `paper`\?"),
        ({"name": "EM-APL"}, r"got `EM-APL`; did you mean `EM\+APL`\?"),
        ({"name": "SPLC", "treshold": 0.5}, r"method\.treshold: unknown key; did you mean `\w+`\?"),
    ],
)
def test_what_a_method_does_not_take_is_refused(method: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyFileError, match=message):
        study_of(method)


def test_a_hyperparameter_is_searched_only_in_trials_whose_method_takes_it() -> None:
    """No `when` is needed."""
    study = study_of(
        {"name": "AN"},
        {
            "method.name": {"choice": ["AN", "Hill", "SPLC", "EM"]},
            "method.gamma": {"choice": [1.0, 2.0]},
            "method.entropy_weight": {"choice": [0.1]},
        },
        trials=6,
        sampler={"name": "grid"},
    )
    space = SearchSpace.from_study(study)
    configs = [space.resolve(study, values).method for values in space.grid()]
    assert [(config.name.value, config.gamma, config.entropy_weight) for config in configs] == [
        ("AN", None, None),
        ("Hill", 1.0, None),
        ("Hill", 2.0, None),
        ("SPLC", 1.0, None),
        ("SPLC", 2.0, None),
        ("EM", None, 0.1),
    ]


def test_a_key_in_the_base_config_is_for_the_trials_that_take_it() -> None:
    study = study_of({"name": "ASL", "gamma_negative": 3.0}, {"method.name": {"choice": ["AN", "ASL"]}}, trials=2)
    space = SearchSpace.from_study(study)
    plain, focused = (space.resolve(study, {"method.name": name}).method for name in ("AN", "ASL"))
    assert (plain.gamma_negative, focused.gamma_negative) == (None, 3.0)


def test_a_search_of_a_key_that_no_trial_takes_is_refused() -> None:
    with pytest.raises(StudyFileError, match="makes no difference: only method LSAN takes it"):
        study_of({"name": "AN"}, {"method.smoothing": {"choice": [0.1, 0.2]}}, trials=2)


def test_the_head_goes_with_any_method_and_can_be_searched() -> None:
    study = study_of({"name": "EM"}, {"model.head": {"choice": ["linear", "boostlu"]}}, trials=2)
    space = SearchSpace.from_study(study)
    assert [space.resolve(study, values).model.head for values in space.branches({"model.head"})] == [
        "linear",
        "boostlu",
    ]
    with pytest.raises(StudyFileError, match=r"model\.head: expected one of `linear`, `boostlu`"):
        study_of({"name": "EM"}, model={"head": "boost"})
