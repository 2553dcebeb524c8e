"""A search needs validation images that can judge a class; a final training does without."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data import trees
from wsml_study.errors import DataError
from wsml_study.study.reading import parse_study
from wsml_study.study.spec import Study
from wsml_study.training.trial_data import open_trial_data
from wsml_study.tuning.run import Task, _check_validation_classes


class Notices(list[str]):
    def on_phase(self, message: str) -> None: ...
    def on_notice(self, message: str) -> None:
        self.append(message)

    def on_images(self, done: int, total: int) -> None: ...
    def on_preparation(self, message: str) -> None: ...
    def on_slots(self, slots: int, num_trials: int, history: object) -> None: ...
    def on_event(self, history: object, event: str, number: int) -> None: ...


def study_of(folder: Path, **objective: object) -> Study:
    """Features of which one row, with both of its labels known, is held out."""
    root, files = trees.mulan(folder / "mulan")
    data = {
        "dataset": "features",
        "root": str(root),
        "features": files.model_dump(exclude_none=True),
        "validation": {"fraction": 0.25},
    }
    method = {"name": "AN"}
    content = {"name": "given", "data": data, "model": {"backbone": "linear"}, "method": method, "objective": objective}
    return parse_study(content, "test")


def test_a_search_is_refused_and_a_final_training_goes_on_with_a_notice(tmp_path: Path) -> None:
    study, notices = study_of(tmp_path), Notices()
    data = open_trial_data(study.data)
    with pytest.raises(DataError, match="none of 2 classes can be evaluated on 1 images"):
        _check_validation_classes(study, data, Task(), notices)
    _check_validation_classes(study, data, Task(model_folder=tmp_path), notices)
    assert [notice.endswith("; the last epoch is kept") for notice in notices] == [True]


def test_metrics_that_compare_classes_need_a_positive_and_a_negative_of_any_class(tmp_path: Path) -> None:
    study, notices = study_of(tmp_path, metric="best_val_micro_ap"), Notices()
    _check_validation_classes(study, open_trial_data(study.data), Task(), notices)
    assert notices == []


def test_a_mean_over_classes_needs_a_class_with_the_positives_that_are_asked_for(tmp_path: Path) -> None:
    asked = {"min_positives": 2}
    study, notices = study_of(tmp_path, metric="best_val_cf1", classes=asked), Notices()
    data = open_trial_data(study.data)
    message = (
        r"none of 2 classes counts in a mean over classes: objective\.classes asks for 2 positives, and the most that"
    )
    with pytest.raises(DataError, match=message):
        _check_validation_classes(study, data, Task(), notices)
    study = study_of(tmp_path / "again", metric="best_val_micro_ap", classes=asked)
    _check_validation_classes(study, data, Task(), notices)
    assert notices == []
