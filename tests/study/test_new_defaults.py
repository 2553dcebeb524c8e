"""Keys whose default for new studies differs from what earlier versions did."""

from __future__ import annotations

import pytest

from wsml_study.study.fidelity import at_level
from wsml_study.study.new_defaults import explicit, hand_over_is_unsaid, with_new_defaults
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig

CONTENT = {
    "name": "s",
    "data": {"dataset": "digit_scenes"},
    "model": {"backbone": "resnet18", "weights": "IMAGENET1K_V1"},
    "method": {"name": "AN"},
}
LINEAR_INIT = {"training": {"mode": "linear_init"}}
CHOICE = {"training.mode": {"choice": ["linear", "linear_init"]}}
PROVENANCE = {"study": "s", "trial": 0, "value": 1.0, "fingerprint": "f"}


def study_of(**sections: object) -> Study:
    return parse_study(CONTENT | sections, "test")


def test_a_searched_mode_is_settled_for_the_trials_that_take_the_key() -> None:
    study = with_new_defaults(study_of(search=CHOICE, trials=2, sampler={"name": "grid"}))
    space = SearchSpace.from_study(study)
    chosen = [space.resolve(study, values).training for values in space.grid()]
    assert [(one.mode, one.hand_over) for one in chosen] == [("linear", None), ("linear_init", "best")]


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"training": {"mode": "linear"}},
        {"training": {"mode": "linear_init", "hand_over": "last"}},
        LINEAR_INIT | {"search": {"training.hand_over": {"choice": ["best", "last"]}}, "trials": 2},
        LINEAR_INIT | {"provenance": PROVENANCE},
    ],
    ids=["end to end", "linear", "said", "searched", "recorded"],
)
def test_what_takes_no_key_or_says_it_is_left_as_it_is(sections: dict[str, object]) -> None:
    assert with_new_defaults(study_of(**sections)) == study_of(**sections)


def test_a_level_can_have_the_key_where_full_size_has_not() -> None:
    level = {"set": {"training.mode": "linear_init", "training.epochs": 1}, "survivors": 1}
    search = {"training.seed": {"choice": [0, 1]}}
    study = study_of(search=search, trials=2, fidelity=[level])
    assert hand_over_is_unsaid(study)
    settled = with_new_defaults(study)
    assert not hand_over_is_unsaid(settled)
    assert [at_level(settled, number).training.hand_over for number in (1, 2)] == ["best", None]


def test_the_exported_config_of_an_earlier_trial_says_what_the_trial_did() -> None:
    config = TrialConfig.model_validate(CONTENT | LINEAR_INIT, strict=False, extra="ignore")
    assert explicit(config).training.hand_over == "last"
    end_to_end = TrialConfig.model_validate(CONTENT, extra="ignore")
    assert explicit(end_to_end) is end_to_end


def test_each_key_that_a_recorded_study_leaves_unsaid_stays_so() -> None:
    study = study_of(early_stopping={"name": "asha"}, **LINEAR_INIT)
    new = with_new_defaults(study)
    assert (new.early_stopping.promote, new.training.hand_over) == (True, "best")
    before_promote = study_of(early_stopping={"name": "asha"}, training={"mode": "linear_init", "hand_over": "best"})
    assert with_new_defaults(study, before_promote) == before_promote
    assert with_new_defaults(study, study) == study
    assert with_new_defaults(study, new) == new
    assert with_new_defaults(study_of(early_stopping={"name": "median"})).early_stopping.promote is None
