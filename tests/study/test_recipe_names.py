"""Recipes by name in study files: what they fill in, what of the file stays, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from tests.study.complaints import assert_complains
from wsml_study.report.run_preview import run_lines
from wsml_study.study.config_keys import config_keys
from wsml_study.study.identity import fingerprint
from wsml_study.study.published_protocol import differences_from_paper
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.recipes import RECIPES
from wsml_study.study.spec import Draft, Study
from wsml_study.study.writing import dump_config


def study(recipe: str, **sections: Any) -> Study:
    content = {"name": "s", "data": {"dataset": "voc2012", "root": "VOC"}, "method": {"name": "ASL"}}
    return parse_study(content | {"recipe": recipe} | sections, source="s.yaml")


def test_the_study_file_knows_every_recipe() -> None:
    annotation = Draft.model_fields["recipe"].annotation
    assert set(get_args(get_args(annotation)[0])) == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_is_one_that_its_key_takes(name: str) -> None:
    for dataset in ("voc2012", "coco2014", "digit_scenes"):
        for key, value in RECIPES[name].values_for(dataset).items():
            assert config_keys()[key].takes(value), key


@pytest.mark.parametrize(
    ("name", "epochs", "last_epoch", "batch_size", "optimizer", "learning_rate"),
    [
        ("kim2022", 10, 10, 16, "sgd", 5e-3),
        ("asl2021", 80, 41, 128, "adam", 1e-4),
        ("splc2022", 80, 31, 128, "adam", 1e-4),
        ("gr2024", 8, 8, 8, "adam", 1e-5),
    ],
)
def test_a_recipe_fills_in_what_the_file_leaves_out(
    name: str, epochs: int, last_epoch: int, batch_size: int, optimizer: str, learning_rate: float
) -> None:
    training = study(name).training
    assert (training.epochs, training.last_epoch, training.batch_size) == (epochs, last_epoch, batch_size)
    assert (training.optimizer, training.learning_rate) == (optimizer, learning_rate)


def test_that_of_the_paper_is_the_paper_s_protocol() -> None:
    model = {"backbone": "resnet50", "weights": "IMAGENET1K_V1"}
    objective = {"classes": "all"}
    assert differences_from_paper(study("kim2022", model=model, objective=objective)) == []
    assert study("kim2022", data={"dataset": "cub", "root": "CUB"}).training.learning_rate == 7.5e-5
    assert study("kim2022", data={"dataset": "digit_scenes"}).training.learning_rate == 1e-5


def test_keys_of_the_file_win() -> None:
    training = study("asl2021", training={"epochs": 5, "learning_rate_schedule": "constant", "cutout": 0.3}).training
    assert (training.epochs, training.last_epoch, training.cutout, training.ema_decay) == (5, 5, 0.3, 0.9997)
    assert training.one_cycle_peak is None  # which a constant rate does not take


def test_a_linear_probe_has_no_augmentation() -> None:
    model = {"backbone": "resnet50", "weights": "IMAGENET1K_V1"}
    training = study("asl2021", model=model, training={"mode": "linear"}).training
    assert training.recipe.keys() == {"weight_decay_on", "learning_rate_schedule", "one_cycle_peak", "ema_decay"}


def test_a_search_trains_all_epochs_and_may_search_what_the_recipe_sets() -> None:
    search = {
        "training.learning_rate_schedule": {"choice": ["constant", "one_cycle"]},
        "training.optimizer": {"choice": ["adam", "sgd"]},
    }
    found = study("asl2021", search=search)
    assert found.training.stop_after_epoch is None
    assert found.training.one_cycle_peak == 0.2


def test_the_folder_records_plain_values_and_no_recipe(tmp_path: Path) -> None:
    found = study("asl2021")
    file = tmp_path / "study.yaml"
    file.write_text(dump_config(found))
    assert "recipe" not in file.read_text()
    read = read_study(file)
    assert read.training == found.training
    assert fingerprint(read) == fingerprint(found)


def test_an_unknown_one_is_answered_with_those_that_there_are(tmp_path: Path) -> None:
    assert_complains(
        tmp_path,
        "name: s\nrecipe: asl2020\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\n",
        "2:9  recipe: expected one of `kim2022`, `asl2021`, `splc2022`, `gr2024`, got `asl2020`; did you mean "
        "`asl2021`?",
    )


def test_check_shows_source_and_values() -> None:
    lines = run_lines(study("asl2021", training={"epochs": 5}, search={"training.cutout": {"choice": [0.3, 0.5]}}))
    first = lines.index("recipe asl2021: Ridnik et al., ICCV 2021; Alibaba-MIIL/ASL, train.py")
    sets, instead, searched, left_out, beside = lines[first + 1 : first + 6]
    assert sets.startswith("  sets: batch_size 128, optimizer adam, learning_rate 0.0001, ")
    assert sets.endswith(", data.horizontal_flip false")
    assert instead == "  the study has instead: epochs 5 (recipe: 80)"
    assert searched == "  the study searches: cutout"
    assert left_out == "  left out, as it does not go with other keys of the study: stop_after_epoch"
    assert "TResNet-M" in beside
