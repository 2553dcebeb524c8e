"""Over how many classes mAP is a mean, told once below a table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.sample_studies.stories import epoch_result
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import read_table, write_tables
from wsml_study.results.class_counts import class_note, class_note_of
from wsml_study.study.objective_section import Objective
from wsml_study.study.reading import parse_study


def rows(trial: int, split: str, ap_C: list[float | None]) -> list[dict[str, object]]:
    return [{"trial": trial, "split": split, "average_precision": ap} for ap in ap_C]


def note(said: object, *parts: list[dict[str, object]], splits: tuple[str, ...] = ("validation", "test")) -> list[str]:
    classes = pd.DataFrame([row for part in parts for row in part])
    objective = {} if said is None else {"classes": said}
    return class_note(Objective.model_validate(objective), classes, splits)


def test_the_number_of_classes_present_is_told_for_each_split() -> None:
    parts = rows(0, "validation", [50.0, None, 2.0]), rows(0, "test", [50.0, 1.0, 2.0])
    sentence = "mAP is the mean over the classes with a positive: 2 of 3 in validation, 3 of 3 in test"
    assert note("present", *parts) == [sentence]
    assert note("present", *parts, splits=("test",)) == []


def test_draws_with_other_classes_give_a_range() -> None:
    parts = rows(0, "validation", [50.0, None, 2.0]), rows(1, "validation", [None, None, 2.0])
    assert note({"min_positives": 4}, *parts) == [
        "mAP is the mean over the classes with 4 positives or more: 1 to 2 of 3 in validation"
    ]


@pytest.mark.parametrize("said", ["all", None])
def test_where_all_count_the_zeros_are_told(said: str | None) -> None:
    parts = rows(0, "validation", [50.0, 0.0, 2.0]), rows(0, "test", [50.0, 1.0, None])
    assert note(said, *parts) == ["mAP counts 0 for a class without a positive: 1 of 3 in validation"]


@pytest.mark.parametrize("said", ["all", "present", None])
def test_where_all_are_there_nothing_is_told(said: str | None) -> None:
    assert note(said, rows(0, "validation", [50.0, 1e-3])) == []


def test_the_value_of_another_metric_is_no_map() -> None:
    classes = pd.DataFrame(rows(0, "validation", [50.0, None]) + rows(0, "test", [50.0, None]))
    objective = Objective.model_validate({"metric": "best_val_of1", "classes": "present"})
    assert class_note(objective, classes) == ["mAP is the mean over the classes with a positive: 1 of 2 in test"]


def test_the_tables_have_the_number_of_classes(tmp_path: Path) -> None:
    content = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}}
    study = parse_study(content | {"objective": {"classes": "present"}}, "test")
    assert class_note_of(tmp_path, study.objective) == []  # not written yet
    history = StudyHistory()
    history.apply({"event": "run", "time": 0.0, "classes": ("a", "b", "c")})
    config = {"method": {"name": "AN"}, "data": {"dataset": "digit_scenes"}}
    for trial in (0, 1):
        history.apply({"event": "created", "trial": trial, "values": {}, "config": config, "sampler_state": {}})
    result = epoch_result(1, 60.0, (1, 60.0), None) | {"val_ap_C": [70.0, None, 50.0]}
    test = {"test_map": 40.0, "best_epoch": 1, "test_ap_C": [None, None, 40.0]}
    told = {"event": "epoch", "trial": 0, "attempt": 1, "time": 1.0, "state": "complete"}
    history.apply(told | {"result": result, "test": test})
    write_tables(tmp_path, study, history)
    trials = read_table(tmp_path, "trials").to_pylist()
    assert [(row["num_val_classes"], row["num_test_classes"]) for row in trials] == [(2, 1), (None, None)]
    assert class_note_of(tmp_path, study.objective, [1]) == []
    assert class_note_of(tmp_path, study.objective) == [
        "mAP is the mean over the classes with a positive: 2 of 3 in validation, 1 of 3 in test"
    ]
