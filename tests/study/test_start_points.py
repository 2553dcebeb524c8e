"""`start_from`: which configs a search begins with, and what is wrong with an entry, by line and column."""

from pathlib import Path

import pytest

from wsml_study.errors import StudyFileError
from wsml_study.study.new_study import read_new_study, resolved_start_points
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.spec import Study, TrialConfig
from wsml_study.study.writing import dump_config

TEXT = """\
name: s
data: {dataset: DATASET}
method: {name: LL-R, schedule: {rate_per_epoch: 0.005}}
search:
  method.name: {choice: [AN, LL-R, LL-Cp]}
  method.schedule.rate_per_epoch: {float: {low: 0.001, high: 0.03, log: true}}
  training.learning_rate: {float: {low: 1e-6, high: 1e-2, log: true}}
trials: 8
start_from:
"""


def written(folder: Path, entries: str, dataset: str = "digit_scenes") -> Path:
    path = folder / "s.yaml"
    path.write_text(TEXT.replace("DATASET", dataset) + entries)
    return path


def points(folder: Path, entries: str, dataset: str = "digit_scenes"):
    return resolved_start_points(read_study(written(folder, entries, dataset)))


def test_a_mapping_takes_what_it_does_not_mention_from_the_base_config(tmp_path):
    (point,) = points(tmp_path, "  - {method.name: LL-Cp}\n")
    assert point.origin == "start_from 1"
    assert point.values == {
        "method.name": "LL-Cp",
        "method.schedule.rate_per_epoch": 0.005,
        "training.learning_rate": 1e-5,
    }
    (point,) = points(tmp_path, "  - {method.name: AN, training.learning_rate: 1e-3}\n")
    assert point.values == {"method.name": "AN", "training.learning_rate": 1e-3}


def test_the_papers_settings_are_those_of_the_dataset_per_method(tmp_path):
    entries = "  - paper\n"
    found = {point.origin: point.values for point in points(tmp_path, entries, "cub, root: CUB")}
    assert found["paper: LL-R"]["method.schedule.rate_per_epoch"] == 0.004
    assert found["paper: LL-Cp"]["method.schedule.rate_per_epoch"] == 0.002
    assert {values["training.learning_rate"] for values in found.values()} == {7.5e-5}
    assert found.keys() == {"paper: AN", "paper: LL-R", "paper: LL-Cp"}
    openimages = points(tmp_path, entries, "openimages_v3, root: OI")
    assert [point.origin for point in openimages] == ["paper: AN"], "the rates there are not published"


def test_an_exported_config_gives_its_searched_keys_and_says_what_else_differs(tmp_path):
    config = TrialConfig.model_validate(
        {
            "data": {"dataset": "digit_scenes"},
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.01}},
            "training": {"epochs": 3},
        }
    )
    exported = tmp_path / "exported.yaml"
    exported.write_text(dump_config(Study.of_trial(config, name="exported")))
    (point,) = points(tmp_path, f"  - {exported}\n")
    assert point.values["method.schedule.rate_per_epoch"] == 0.01
    assert point.differs == ("training.epochs: 3 -> 10",)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (
            "  - {method.name: ASL}\n",
            "10:19  start_from.method.name: expected one of AN, LL-R, LL-Cp, got `ASL`; widen the search, "
            "or change the value",
        ),
        (
            "  - {method.schedule.rate_per_epoch: 0.5}\n",
            "10:38  start_from.method.schedule.rate_per_epoch: expected 0.001 to 0.03, got 0.5; widen the search",
        ),
        (
            "  - {training.batch_size: 8}\n",
            "10:6  start_from.training.batch_size: not searched, so it cannot differ here: remove it, or add it",
        ),
        (
            "  - {method.name: AN, method.schedule.rate_per_epoch: 0.002}\n",
            "10:23  start_from.method.schedule.rate_per_epoch: no trial with these values searches it",
        ),
        ("  - paper\n", "10:5  start_from: `paper`: the papers have no settings for the dataset digit_scenes"),
        ("  - gone.yaml\n", "10:5  start_from: gone.yaml: there is no such file"),
        ("  - [1]\n", "10:5  start_from: expected a text or a mapping, got a list"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_with_its_place(tmp_path, entries, problem):
    with pytest.raises(StudyFileError) as raised:
        read_new_study(written(tmp_path, entries))
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("baseline", "problem"),
    [
        (
            "start_from 2",
            "confirm.baseline: expected a config of `start_from`, which has start_from 1, got start_from 2",
        ),
        ("WAN", "confirm.baseline: expected a method of the study, which has AN, LL-R, LL-Cp, got WAN"),
        ("start_from 0", "confirm.baseline: expected a text that matches ^start_from"),
        ("best", "confirm.baseline: expected a text that matches ^start_from"),
    ],
)
def test_a_baseline_that_no_trial_can_be_is_refused(tmp_path, baseline, problem):
    path = written(tmp_path, "  - {method.name: AN}\n")
    with path.open("a") as file:
        file.write(f"confirm: {{baseline: {baseline}}}\n")
    with pytest.raises(StudyFileError) as raised:
        read_new_study(path)
    assert problem in str(raised.value)


def test_the_papers_settings_must_lie_in_the_search(tmp_path):
    path = written(tmp_path, "  - paper\n", "voc2012, root: VOC")
    path.write_text(path.read_text().replace("low: 0.001, high: 0.03", "low: 0.0015, high: 0.03"))
    with pytest.raises(StudyFileError) as raised:
        read_study(path)
    assert (
        "10:5  start_from: paper: LL-Cp: method.schedule.rate_per_epoch is 0.001, and the search has 0.0015 to 0.03; "
        "widen the search, or remove this entry"
    ) in str(raised.value)


def test_more_configs_than_trials_and_configs_without_a_search_are_refused(tmp_path):
    path = written(tmp_path, "  - {method.name: AN}\n  - {method.name: LL-R}\n")
    path.write_text(path.read_text().replace("trials: 8", "trials: 1"))
    with pytest.raises(StudyFileError, match="8:9  trials: expected at least the 2 configs of start_from, got 1"):
        read_study(path)
    with pytest.raises(StudyFileError, match="start_from: without `search` there is one config"):
        parse_study(
            {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}, "start_from": ["paper"]},
            source="s",
        )


def test_a_recorded_study_is_read_without_the_files_that_it_began_with(tmp_path):
    study = read_study(written(tmp_path, "  - gone.yaml\n"))
    assert study.start_from == ("gone.yaml",)
    assert read_study(written(tmp_path, "  - gone.yaml\n")) == study
    path = tmp_path / "recorded.yaml"
    path.write_text(dump_config(study))
    assert read_study(path) == study


def test_a_search_for_the_best_seed_is_refused_with_its_place(tmp_path):
    path = written(tmp_path, "  - {method.name: AN}\n")
    text = path.read_text().partition("start_from:")[0]
    path.write_text(text.replace("search:\n", "search:\n  data.observe.seed: {choice: [1, 2]}\n"))
    with pytest.raises(StudyFileError) as raised:
        read_new_study(path)
    assert (
        "5:3  data.observe.seed: changes the question and is not searched: it decides which labels are hidden, so the "
        "search would pick the easiest draw; list its values under `factors`"
    ) in str(raised.value)
