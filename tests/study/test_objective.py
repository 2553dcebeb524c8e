"""Objectives: any epoch metric, of the best epoch or of the last, in its own direction."""

from __future__ import annotations

import pytest

from wsml_study.errors import StudyFileError
from wsml_study.study.identity import canonical
from wsml_study.study.objective_section import Objective


def test_the_direction_is_the_metrics_own_unless_the_study_says_the_same(make_study) -> None:
    assert make_study(objective={"metric": "best_val_one_error"}).objective.mode == "min"
    assert make_study(objective={"metric": "last_val_cf1"}).objective.mode == "max"
    with pytest.raises(StudyFileError, match="the smaller best_val_coverage is, the better: expected mode `min`"):
        make_study(objective={"metric": "best_val_coverage", "mode": "max"})


def test_a_study_that_says_nothing_is_described_as_before(make_study) -> None:
    assert '"objective":{"metric":"best_val_map","mode":"max"}' in canonical(make_study())


def test_an_option_goes_with_the_metric_that_takes_it(make_study) -> None:
    assert make_study(objective={"min_positives": 10}).objective.options == {"min_positives": 10}
    with pytest.raises(StudyFileError, match="metric best_val_of1 takes no `min_positives`"):
        make_study(objective={"metric": "best_val_of1", "min_positives": 10})


@pytest.mark.parametrize(
    ("said", "least"),
    [({}, 0), ({"classes": "all"}, 0), ({"classes": "present"}, 1), ({"classes": {"min_positives": 7}}, 7)],
)
def test_the_positives_that_a_class_needs_to_count(make_study, said, least) -> None:
    objective = make_study(objective=said).objective
    assert objective.least_positives == least
    assert objective.is_plain_map


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            {"classes": "most"},
            "objective.classes: expected one of `present`, `all` or a mapping with the key min_positives",
        ),
        ({"classes": {"min": 3}}, "objective.classes.min: unknown key; did you mean `min_positives`?"),
        (
            {"classes": {"min_positives": 0}},
            "objective.classes.min_positives: expected a whole number of at least 1, got 0",
        ),
        ({"classes": {}}, "objective.classes.min_positives: missing; expected a whole number of at least 1"),
        (
            {"classes": "all", "min_positives": 3},
            "objective: expected `classes` or its older form `min_positives`, got both",
        ),
    ],
)
def test_classes_are_a_word_or_a_mapping_and_are_said_once(make_study, said, problem) -> None:
    with pytest.raises(StudyFileError, match=problem.replace("`", ".")):
        make_study(objective=said)


def test_classes_are_not_searched(make_study) -> None:
    with pytest.raises(StudyFileError, match="it changes what the objective means"):
        make_study(search={"objective.classes": {"choice": ["present", "all"]}}, trials=2)


def test_values_are_written_with_their_unit() -> None:
    assert Objective().text(87.5) == "87.50 %"
    assert Objective.model_validate({"metric": "last_val_one_error"}).text(0.25) == "0.2500"
