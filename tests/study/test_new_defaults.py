"""Keys whose default for new studies differs from what earlier versions did."""

from __future__ import annotations

import pytest

from wsml_study.study.fidelity import at_level
from wsml_study.study.new_defaults import explicit, is_unsaid, with_new_defaults
from wsml_study.study.objective_section import EnoughPositives
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import Study, TrialConfig

CONTENT = {
    "name": "s",
    "objective": {"classes": "all"},
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
    assert is_unsaid(study)
    settled = with_new_defaults(study)
    assert not is_unsaid(settled)
    assert [at_level(settled, number).training.hand_over for number in (1, 2)] == ["best", None]


def without_classes(**objective: object) -> Study:
    return study_of(objective=objective)


@pytest.mark.parametrize(
    ("said", "settled"),
    [
        ({}, "present"),
        ({"classes": "all"}, "all"),
        ({"min_positives": 5}, EnoughPositives(min_positives=5)),
        ({"min_positives": 0}, "all"),
        ({"metric": "best_val_of1"}, "present"),
    ],
)
def test_a_new_study_says_which_classes_count(said: dict[str, object], settled: object) -> None:
    study = with_new_defaults(without_classes(**said))
    assert study.objective.classes == settled
    assert study.objective.older_min_positives is None
    assert not is_unsaid(study)
    assert parse_study(study.model_dump(mode="json", exclude_none=True), "again") == study


def test_a_folder_begun_without_the_key_keeps_its_meaning() -> None:
    begun = without_classes()
    assert is_unsaid(begun)
    for said in (begun, without_classes(classes="all")):
        assert with_new_defaults(said, begun_as=begun) == begun
    asked = without_classes(classes="present")
    assert with_new_defaults(asked, begun_as=begun) == asked  # differs, and is refused
    few = without_classes(min_positives=5)
    assert with_new_defaults(few, begun_as=few) == few


def test_each_key_has_the_default_that_its_folder_was_begun_with() -> None:
    begun = study_of(training={"mode": "linear_init", "hand_over": "best"}, objective={})
    again = with_new_defaults(study_of(**LINEAR_INIT, objective={}), begun_as=begun)
    assert (again.training.hand_over, again.objective.classes) == ("best", None)
    begun = study_of(**LINEAR_INIT)
    again = with_new_defaults(study_of(**LINEAR_INIT, objective={}), begun_as=begun)
    assert (again.training.hand_over, again.objective.classes) == (None, "present")


def test_the_exported_config_of_an_earlier_trial_says_what_the_trial_did() -> None:
    config = TrialConfig.model_validate(CONTENT | LINEAR_INIT, strict=False, extra="ignore")
    assert explicit(config).training.hand_over == "last"
    end_to_end = TrialConfig.model_validate(CONTENT, extra="ignore")
    assert explicit(end_to_end) is end_to_end
    unsaid = TrialConfig.model_validate(CONTENT | {"objective": {}}, extra="ignore")
    assert explicit(unsaid) == end_to_end
    few = TrialConfig.model_validate(CONTENT | {"objective": {"min_positives": 5}}, strict=False, extra="ignore")
    assert explicit(few) is few


def test_promotion_stays_unsaid_where_a_recorded_study_leaves_it_so() -> None:
    study = study_of(early_stopping={"name": "asha"})
    new = with_new_defaults(study)
    assert new.early_stopping.promote is True
    before = new.model_copy(update={"early_stopping": study.early_stopping})
    assert with_new_defaults(study, begun_as=before) == before
    assert with_new_defaults(study, begun_as=new) == new
    assert with_new_defaults(study_of(early_stopping={"name": "median"})).early_stopping.promote is None
