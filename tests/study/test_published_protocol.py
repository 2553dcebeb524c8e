"""What of the published protocol a config changes: every key that matters is named, and the presets change none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from wsml_study.study.published_protocol import differences_from_paper
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.search_space import SearchSpace, put

STUDIES = Path(__file__).parents[2] / "studies"
PRESETS = ("voc2012", "coco2014", "nuswide", "cub", "openimages_v3")

VOC: dict[str, Any] = {
    "name": "p",
    "data": {"dataset": "voc2012", "root": "VOC2012"},
    "model": {"backbone": "resnet50", "weights": "IMAGENET1K_V1"},
    "method": {"name": "LL-Cp", "variant": "as_published", "schedule": {"rate_per_epoch": 0.001}},
    "training": {
        "optimizer": "sgd",
        "learning_rate": 5e-3,
        "weight_decay": 1e-3,
        "stop_below_best": 3,
        "precision": "fp32",
        "mode": "linear_init",
        "hand_over": "best",
    },
}
"""LL-Cp as published on VOC 2012, with LinearInit."""

STORE = "whose store LL-Cp's numbers come from"

ONE_DEPARTURE: list[tuple[dict[str, Any], str]] = [
    ({"model.weights": "IMAGENET1K_V2"}, "weights IMAGENET1K_V2 instead of IMAGENET1K_V1"),
    (
        {"model.weights": None, "training.mode": "end_to_end", "training.hand_over": None},
        "weights none instead of IMAGENET1K_V1",
    ),
    ({"model.weights": "w/resnet50-11ad3fa6.pth"}, "weights w/resnet50-11ad3fa6.pth instead of IMAGENET1K_V1"),
    ({"model.backbone": "resnet101"}, "backbone resnet101 instead of resnet50"),
    ({"data.image_size": 224}, "image_size 224 instead of 448"),
    ({"data.horizontal_flip": False}, "horizontal_flip false instead of true"),
    ({"data.store": "jpeg"}, "store jpeg instead of raw"),
    ({"data.observe": {"seed": 7}}, "observed labels"),
    ({"data.validation": {"fraction": 0.1}}, "held out"),
    ({"data.train_on": "train+validation"}, "train_on train+validation instead of train"),
    ({"training.mode": "linear", "training.hand_over": None}, "mode linear instead of end_to_end"),
    ({"training.linear_epochs": 10}, "linear_epochs 10 instead of 25"),
    ({"training.hand_over": "last"}, "hand_over last instead of best"),
    ({"training.hand_over": None}, "hand_over last instead of best"),
    ({"data.train_share": 0.5}, "train_share 0.5 instead of 1"),
    ({"training.mirror_features": True}, "mirror_features true instead of false"),
    ({"training.epochs": 12}, "epochs 12 instead of 10"),
    ({"training.stop_after_epoch": 8}, "stop_after_epoch 8 instead of none"),
    ({"training.stop_below_best": None}, "stop_below_best none instead of 3.0"),
    ({"training.batch_size": 8}, "batch_size 8 instead of 16"),
    ({"training.learning_rate": 1e-3}, "learning_rate 0.001 instead of 0.005"),
    ({"training.momentum": 0.5}, "momentum 0.5 instead of 0.9"),
    ({"training.weight_decay": 0.0}, "weight_decay 0.0 instead of 0.001"),
    ({"training.head_learning_rate_multiplier": 1.0}, "head_learning_rate_multiplier 1.0 instead of 10"),
    ({"training.precision": "auto"}, "precision auto instead of fp32"),
    ({"objective": {"metric": "last_val_map"}}, "objective last_val_map instead of best_val_map"),
    ({"objective": {"metric": "best_val_map", "min_positives": 5}}, "min_positives 5 instead of 0"),
    ({"objective": {"metric": "best_val_map", "classes": "present"}}, "classes present instead of all"),
    (
        {"objective": {"metric": "best_val_map", "classes": {"min_positives": 5}}},
        "classes {min_positives: 5} instead of all",
    ),
    ({"method.variant": "code"}, f"variant code instead of as_published, {STORE}"),
    ({"method.schedule.shape": "cosine"}, "schedule cosine instead of linear"),
    ({"method.schedule.warmup_epochs": 2}, "warmup_epochs 2 instead of 1"),
    ({"method.schedule.rate_per_epoch": 0.002}, "rate_per_epoch 0.002 instead of 0.001"),
    ({"early_stopping": {"name": "median"}}, "early_stopping median instead of none"),
]


def study(changes: dict[str, Any], base: dict[str, Any] = VOC) -> Any:
    content: dict[str, Any] = {key: dict(value) if isinstance(value, dict) else value for key, value in base.items()}
    content["method"] = {key: dict(v) if isinstance(v, dict) else v for key, v in base["method"].items()}
    for key, value in changes.items():
        if "." in key:
            put(content, key, value)
        else:
            content[key] = value
    if content["method"].get("schedule", {}).get("shape") == "cosine":
        content["method"]["schedule"] = {"shape": "cosine", "final_rate": 0.01, "ramp_epochs": 5}
    return parse_study(_without_absent(content), source="p")


def _without_absent(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_absent(value) for key, value in content.items() if value is not None}
    return content


def test_the_protocol_departs_from_itself_in_nothing() -> None:
    assert differences_from_paper(study({})) == []
    assert differences_from_paper(study({"training.mode": "end_to_end", "training.hand_over": None})) == []
    assert differences_from_paper(study({"model.weights": "w/resnet50-0676ba61.pth"})) == [], (
        "the file of these weights"
    )


@pytest.mark.parametrize(("changes", "said"), ONE_DEPARTURE, ids=[said for _, said in ONE_DEPARTURE])
def test_a_departure_is_named_and_nothing_else(changes: dict[str, Any], said: str) -> None:
    assert differences_from_paper(study(changes)) == [said]


def test_adam_in_place_of_sgd_is_named() -> None:
    assert differences_from_paper(study({"training.optimizer": "adam"})) == ["optimizer adam instead of sgd"]


def test_options_of_baselines_are_compared_with_the_papers_defaults() -> None:
    method = {"name": "LSAN", "smoothing": 0.2}
    assert differences_from_paper(study({"method": method})) == ["smoothing 0.2 instead of 0.1"]
    assert differences_from_paper(study({"method": {"name": "LSAN", "smoothing": 0.1}})) == []


def test_a_dataset_that_the_paper_has_not_is_said_to_be_none_of_its() -> None:
    digits = parse_study({"name": "d", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}}, source="d")
    assert differences_from_paper(digits) == ["dataset digit_scenes, which the paper has not"]


def test_boostlu_is_compared_with_its_own_protocol() -> None:
    boosted = {
        "model": {"backbone": "resnet50", "weights": "IMAGENET1K_V1", "head": "boostlu"},
        "method": {"name": "LL-Cp", "schedule": {"rate_per_epoch": 0.001}},
        "training": {"precision": "fp32"},
    }
    assert differences_from_paper(study(boosted)) == []
    adapted = boosted | {"method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.002}}}
    assert differences_from_paper(study(adapted)) == ["rate_per_epoch 0.002 instead of 0.005"]
    assert differences_from_paper(study(boosted | {"method": {"name": "AN"}})) == ["head boostlu instead of linear"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_protocol(name: str) -> None:
    assert differences_from_paper(read_study(STUDIES / f"{name}.yaml")) == []


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_with_the_authors_rate_is_the_protocol_for_each_method(name: str) -> None:
    preset = read_study(STUDIES / f"{name}.yaml")
    rates = {"LL-R": 0.004, "LL-Ct": 0.002, "LL-Cp": 0.002}
    rates |= {"voc2012": {"LL-R": 0.002, "LL-Cp": 0.001}, "cub": {"LL-Ct": 0.004}}.get(name, {})
    for method, rate in rates.items():
        values = {"method.name": method, "method.schedule.rate_per_epoch": rate}
        assert differences_from_paper(SearchSpace.from_study(preset).resolve(preset, values)) == []


def test_openimages_is_resnet_101_on_the_official_validation_subset() -> None:
    preset = read_study(STUDIES / "openimages_v3.yaml")
    smaller = preset.model.model_copy(update={"backbone": "resnet50"})
    drawn = preset.data.model_copy(update={"validation_subset": None})
    assert differences_from_paper(preset.model_copy(update={"model": smaller, "data": drawn})) == [
        "backbone resnet50 instead of resnet101",
        "validation_subset drawn instead of official",
    ]


def test_nuswide_s_official_lists_are_named() -> None:
    preset = read_study(STUDIES / "nuswide.yaml")
    official = preset.data.model_copy(update={"release": "official"})
    assert differences_from_paper(preset.model_copy(update={"data": official})) == [
        "release official instead of recrawled"
    ]


@pytest.mark.parametrize("backbone", ["resnet50", "resnet101"])
def test_the_network_of_the_protocol_has_no_dropout(backbone: str) -> None:
    from wsml_study.training.classifier import Classifier

    with torch.device("meta"):
        network = Classifier(backbone, num_classes=20, num_channels=3)
    assert not [one for one in network.modules() if "Dropout" in type(one).__name__]
