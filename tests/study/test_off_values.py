"""Keys of a recipe that a search can compare with being off."""

from __future__ import annotations

from typing import Any

import pytest

from wsml_study.study.identity import fingerprint
from wsml_study.study.reading import parse_study
from wsml_study.study.recipes import with_recipe
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.start_points import start_points
from wsml_study.study.training_section import OFF, RECIPE_KEYS, Training

CONTENT: dict[str, Any] = {
    "name": "s",
    "data": {"dataset": "digit_scenes"},
    "method": {"name": "AN"},
    "trials": 4,
    "search": {
        "method.name": {"choice": ["AN", "MIME"]},
        "training.rand_augment": {"choice": [0, 2]},
    },
}


@pytest.mark.parametrize("key", OFF)
def test_off_is_as_if_the_key_were_left_out(key: str) -> None:
    assert Training(**{key: OFF[key]}) == Training()
    assert key in RECIPE_KEYS


def test_a_search_can_compare_with_off() -> None:
    study = parse_study(CONTENT, source="s")
    off, on = (
        SearchSpace.from_study(study).resolve(study, {"method.name": "MIME", "training.rand_augment": number})
        for number in (0, 2)
    )
    assert (off.training.rand_augment, on.training.rand_augment) == (None, 2)
    plain = parse_study({**CONTENT, "search": {}, "trials": 1, "method": {"name": "MIME"}}, source="s")
    assert fingerprint(off) == fingerprint(SearchSpace.from_study(plain).resolve(plain, {}))


def test_mixtures_that_are_off_go_with_every_method() -> None:
    search = {"method.name": {"choice": ["MIME", "PLC"]}, "training.mixup": {"choice": ["none"]}}
    parse_study({**CONTENT, "search": search, "training": {"cutout": 0.3}}, source="s")


def test_a_start_point_without_the_key_begins_with_it_off() -> None:
    study = parse_study({**CONTENT, "start_from": [{"method.name": "MIME"}]}, source="s")
    assert [point.values for point in start_points(study, None).points] == [
        {"method.name": "MIME", "training.rand_augment": 0}
    ]


def test_off_overrides_a_recipe() -> None:
    filled = with_recipe({"recipe": "asl2021", "data": {"dataset": "coco2014"}, "training": {"ema_decay": 0}})
    assert Training(**filled["training"]).ema_decay is None
    assert filled["training"]["cutout"] == 0.5


def test_a_search_can_compare_parts_that_learn_with_all_of_it() -> None:
    search = {"model.lora.rank": {"choice": [0, 4]}, "model.freeze.stages": {"choice": [0, 2]}}
    study = parse_study({**CONTENT, "model": {"backbone": "resnet18"}, "search": search}, source="s")
    space = SearchSpace.from_study(study)
    off = space.resolve(study, {"model.lora.rank": 0, "model.freeze.stages": 0}).model
    assert (off.lora, off.freeze) == (None, None)
    on = space.resolve(study, {"model.lora.rank": 4, "model.freeze.stages": 2}).model
    assert on.lora is not None
    assert on.freeze is not None
    assert (on.lora.rank, on.freeze.stages) == (4, 2)
