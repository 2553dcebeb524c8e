"""Levels of fidelity in study files: what each makes of the study, and what is refused, with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.study.complaints import assert_complains
from wsml_study.study.fidelity import at_level, heading, num_levels, num_trials
from wsml_study.study.identity import differences, fingerprint
from wsml_study.study.paths import named_files
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.schema import schema
from wsml_study.study.spec import Study
from wsml_study.study.writing import dump_config

BASE = """\
name: s
data: {dataset: digit_scenes}
method: {name: LL-R, schedule: {rate_per_epoch: 0.002}}
training: {epochs: 6}
search: {method.schedule.rate_per_epoch: {float: {low: 0.001, high: 0.1, log: true}}}
trials: 8
"""
"""Six lines; what a test adds starts on line 7."""


def study_with(levels: list[dict[str, Any]], **changes: Any) -> Study:
    content = {
        "name": "s",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}},
        "training": {"epochs": 6, "mode": "linear_init", "linear_epochs": 7, "hand_over": "best"},
        "model": {"backbone": "mobilenet_v2", "weights": "IMAGENET1K_V1"},
        "search": {"training.learning_rate": {"choice": [1e-4, 1e-3, 1e-2]}},
        "sampler": {"name": "random"},
        "early_stopping": {"name": "asha", "grace_epochs": 3},
        "trials": 8,
        "fidelity": levels,
    }
    return parse_study(content | changes, source="test")


TWO = [{"set": {"training.mode": "linear"}, "survivors": 6}, {"set": {"training.epochs": 2}, "survivors": 3}]


def test_a_level_changes_the_base_config_and_nothing_else() -> None:
    study = study_with(TWO)
    assert num_levels(study) == 3
    second = at_level(study, 2)
    assert (second.training.epochs, second.fidelity, second.confirm) == (2, None, None)
    assert (second.search, second.sampler, second.model) == (study.search, study.sampler, study.model)
    full = at_level(study, 3)
    assert full.training == study.training
    assert fingerprint(full) == fingerprint(study.model_copy(update={"fidelity": None}))


def test_a_level_has_no_keys_that_its_own_values_have_no_use_for() -> None:
    first = at_level(study_with(TWO), 1)
    assert (first.training.mode, first.training.linear_epochs, first.training.hand_over) == ("linear", None, None)


def test_each_level_has_as_many_trials_as_survived_the_one_below() -> None:
    study = study_with(TWO)
    assert [num_trials(study, number) for number in (1, 2, 3)] == [8, 6, 3]
    assert study.full_size_trials == 3
    one = [{"set": {"training.epochs": 2}, "survivors": 2}]
    assert num_trials(study_with(one, sampler={"name": "grid"}), 1) == 3, "a grid has no more than its combinations"


def test_a_level_within_the_grace_period_has_no_early_stopping() -> None:
    short = [{"set": {"training.mode": "linear", "training.epochs": 3}, "survivors": 6}]
    assert at_level(study_with(short), 1).early_stopping.name == "none"
    assert at_level(study_with(TWO), 1).early_stopping.name == "asha"


def test_the_study_of_each_level_reads_back(tmp_path: Path) -> None:
    study = study_with(TWO)
    for number in (1, 2, 3):
        file = tmp_path / "study.yaml"
        file.write_text(dump_config(at_level(study, number)))
        assert read_study(file) == at_level(study, number)


def test_levels_read_back_and_are_part_of_what_a_study_is(tmp_path: Path) -> None:
    study = study_with(TWO)
    file = tmp_path / "study.yaml"
    file.write_text(dump_config(study))
    assert read_study(file) == study
    other = study_with([*TWO[:1], {"set": {"training.epochs": 2}, "survivors": 4}])
    assert fingerprint(other) != fingerprint(study)
    (line,) = differences(study, other)
    assert line.startswith("fidelity: [{set: {training.mode: linear}, survivors: 6}")


def test_headings_say_which_level_of_how_many() -> None:
    assert [heading(study_with(TWO), number) for number in (1, 2, 3)] == [
        "level 1 of 3: training.mode linear; the best 6 go on",
        "level 2 of 3: training.epochs 2; the best 3 go on",
        "level 3 of 3: full size",
    ]


def test_weights_that_only_a_level_names_are_files_of_the_study() -> None:
    levels = [{"set": {"model.weights": "mine/small.pth"}, "survivors": 2}]
    assert named_files(study_with(levels)) == {"mine/small.pth": "model.weights"}


REFUSED = {
    "an unknown key": (
        "fidelity: [{set: {training.epoch: 2}, survivors: 2}]\n",
        "7:19  fidelity.set.training.epoch: unknown key; did you mean `training.epochs`?",
    ),
    "a key that is searched": (
        "fidelity: [{set: {method.schedule.rate_per_epoch: 0.1}, survivors: 2}]\n",
        "7:19  fidelity.set.method.schedule.rate_per_epoch: is searched, so a level cannot set it; remove it "
        "here or from `search`",
    ),
    "other data to be judged by": (
        "fidelity: [{set: {data.validation.fraction: 0.5}, survivors: 2}]\n",
        "7:19  fidelity.set.data.validation.fraction: cannot differ between levels: it changes what the objective "
        "means, so its trials could not be compared",
    ),
    "a value that the key does not take": (
        "fidelity: [{set: {training.epochs: 0}, survivors: 2}]\n",
        "7:36  fidelity.set.training.epochs: expected a whole number of at least 1, got 0",
    ),
    "the value of the base config": (
        "fidelity: [{set: {training.epochs: 6}, survivors: 2}]\n",
        "7:36  fidelity.set.training.epochs: makes nothing cheaper: the base config has the same value",
    ),
    "nothing set": (
        "fidelity: [{set: {}, survivors: 2}]\n",
        "7:18  fidelity.set: expected a mapping of at least one key, got an empty mapping",
    ),
    "no survivors": (
        "fidelity: [{set: {training.epochs: 2}}]\n",
        "7:12  fidelity.survivors: missing; expected a whole number of at least 1",
    ),
    "no levels": ("fidelity: []\n", "7:11  fidelity: expected a list of at least one value, got an empty list"),
    "a misspelt key of the level": (
        "fidelity: [{set: {training.epochs: 2}, survivors: 2, trails: 3}]\n",
        "7:54  fidelity.trails: unknown key; known keys are set, survivors",
    ),
    "as many survivors as trials": (
        "fidelity:\n  - {set: {training.epochs: 2}, survivors: 8}\n",
        "8:44  fidelity.survivors: expected fewer survivors than the 8 trials of level 1, got 8",
    ),
    "as many survivors as the level before": (
        "fidelity:\n  - {set: {training.epochs: 2}, survivors: 3}\n  - {set: {training.epochs: 3}, survivors: 3}\n",
        "9:44  fidelity.survivors: expected fewer survivors than the 3 trials of level 2, got 3",
    ),
    "a population": (
        "fidelity: [{set: {training.epochs: 2}, survivors: 2}]\nearly_stopping: {name: pbt}\nsampler: {name: random}\n",
        "7:1  fidelity: expected another early stopping than pbt, or none: a population changes values during "
        "training, so that a level has no fixed config to hand to the next one",
    ),
    "a search that has no meaning there": (
        "fidelity: [{set: {method.name: AN}, survivors: 2}]\n",
        "7:19  fidelity: at level 1, method.schedule.rate_per_epoch: makes no difference: only method LL-R or LL-Ct or "
        "LL-Cp takes it, and no trial has that",
    ),
    "a config that contradicts itself there": (
        "fidelity: [{set: {training.mode: linear}, survivors: 2}]\n",
        "7:19  fidelity: at level 1, model.weights: mode linear freezes the backbone, whose random weights give poor "
        "features; set pretrained weights",
    ),
    "keys of one section that exclude each other": (
        "fidelity: [{set: {data.observe.share: 0.5, data.observe.positives: 2}, survivors: 2}]\n",
        "7:12  fidelity: at level 1, `share` replaces `positives`, `negatives` and `bias`; remove either",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_with_a_level_is_said_with_its_place(tmp_path: Path, case: str) -> None:
    added, line = REFUSED[case]
    assert_complains(tmp_path, BASE + added, line)


def test_levels_need_something_to_search(tmp_path: Path) -> None:
    text = "name: s\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\n"
    text += "fidelity: [{set: {training.epochs: 2}, survivors: 1}]\n"
    line = "4:51  fidelity.survivors: expected fewer survivors than the 1 trials of level 1, got 1"
    assert_complains(tmp_path, text, line)


@pytest.mark.parametrize("changes", [{"training.epoch": 2}, {"training.epochs": "x"}, {"data.dataset": "voc2007"}])
def test_an_editor_sees_what_a_level_cannot_set(changes: dict[str, Any]) -> None:
    content = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}}
    good = content | {"fidelity": [{"set": {"training.epochs": 2}, "survivors": 1}]}
    jsonschema.validate(good, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"fidelity": [{"set": changes, "survivors": 1}]}, schema())
