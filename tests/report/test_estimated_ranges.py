"""Searched rejection rates whose range comes from the data."""

from __future__ import annotations

from typing import Any

import pytest

from wsml_study.errors import DataError, StudyFileError
from wsml_study.report.estimated_ranges import range_lines, with_estimated_ranges
from wsml_study.study.identity import fingerprint
from wsml_study.study.rate_ranges import FINAL, PER_EPOCH, open_ranges, with_range, with_recorded_ranges
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.search_section import Estimated, FloatRange
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config

FOUND = Estimated(share=0.02, low=0.01, high=0.03, basis="test")


def study(search: dict[str, Any], **changes: Any) -> Study:
    content = {
        "name": "auto",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.01, "warmup_epochs": 2}},
        "training": {"epochs": 12},
        "search": search,
        "trials": 4,
    }
    return parse_study(content | changes, source="test")


def test_the_range_is_of_the_final_rate_and_shared_among_the_epochs_of_growth() -> None:
    resolved = with_range(study({PER_EPOCH: {"auto": True}}), PER_EPOCH, FOUND)
    assert resolved.search[PER_EPOCH].float == FloatRange(low=0.00012, high=0.024, log=True)
    constant = {"name": "LL-R", "schedule": {"shape": "constant", "final_rate": 0.1}}
    resolved = with_range(study({FINAL: {"auto": True}}, method=constant), FINAL, FOUND)
    assert resolved.search[FINAL].float == FloatRange(low=0.0012, high=0.24, log=True)


def test_an_interval_that_reaches_zero_still_makes_a_range() -> None:
    resolved = with_range(study({PER_EPOCH: {"auto": True}}), PER_EPOCH, FOUND.model_copy(update={"low": 0.0}))
    assert resolved.search[PER_EPOCH].float == FloatRange(low=6.2e-05, high=0.024, log=True)
    nothing = Estimated(share=0.0, low=0.0, high=0.0, basis="test")
    with pytest.raises(StudyFileError, match="about no training label is a false negative"):
        with_range(study({PER_EPOCH: {"auto": True}}), PER_EPOCH, nothing)


def test_a_study_keeps_the_range_that_its_folder_recorded(tmp_path) -> None:
    asked = study({PER_EPOCH: {"auto": True}})
    begun = with_range(asked, PER_EPOCH, FOUND)
    (tmp_path / "study.yaml").write_text(dump_config(begun))
    recorded = read_study(tmp_path / "study.yaml")
    assert recorded == begun
    again = with_recorded_ranges(asked, recorded)
    assert fingerprint(again) == fingerprint(begun)
    assert open_ranges(again) == ()
    assert open_ranges(with_recorded_ranges(asked, None)) == (PER_EPOCH,)
    elsewhere = study({PER_EPOCH: {"float": {"low": 0.001, "high": 0.01}}})
    assert open_ranges(with_recorded_ranges(asked, elsewhere)) == (PER_EPOCH,), "that folder left nothing to the data"


def test_complete_validation_labels_give_the_range_and_lines_say_so() -> None:
    resolved = with_estimated_ranges(study({PER_EPOCH: {"auto": True}}))
    found = resolved.search[PER_EPOCH].auto
    assert isinstance(found, Estimated)
    assert found.low < 0.121 < found.high, "(m - 1) / C of the scenes"
    line = range_lines(resolved)[0]
    assert line.startswith(f"{PER_EPOCH} is searched from ")
    assert line.endswith("by the positives of 300 completely labelled images")


def test_positives_alone_give_no_range() -> None:
    data = {"dataset": "digit_scenes", "validation": {"labels": "observed"}}
    with pytest.raises(DataError, match="1,200 positives and 0 negatives"):
        with_estimated_ranges(study({PER_EPOCH: {"auto": True}}, data=data))


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({"training.learning_rate": {"auto": True}}, "`auto` is for method.schedule.rate_per_epoch"),
        ({PER_EPOCH: {"auto": True, "float": {"low": 0.001, "high": 0.1}}}, "got auto and float"),
        ({PER_EPOCH: {"auto": False}}, "auto"),
    ],
)
def test_what_takes_no_range_from_the_data(search: dict[str, Any], expected: str) -> None:
    with pytest.raises(StudyFileError, match=expected):
        study(search)


def test_a_share_that_differs_between_levels_gives_no_range() -> None:
    with pytest.raises(StudyFileError, match="needs one share of false negatives"):
        study({PER_EPOCH: {"auto": True}}, factors={"data.observe.seed": [1, 2]})
