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


def test_values_are_written_with_their_unit() -> None:
    assert Objective().text(87.5) == "87.50 %"
    assert Objective.model_validate({"metric": "last_val_one_error"}).text(0.25) == "0.2500"
