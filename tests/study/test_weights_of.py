"""Weights listed by backbone, for studies whose trials have several backbones."""

from typing import Any

import pytest

from wsml_study.errors import StudyFileError
from wsml_study.study.config_runs import ConfigRuns
from wsml_study.study.paths import named_files
from wsml_study.study.reading import parse_study
from wsml_study.study.spec import Study


def study_with(**changes: Any) -> Study:
    content = {
        "name": "backbones",
        "data": {"dataset": "voc2007", "root": "VOC2007", "image_size": 96},
        "method": {"name": "AN"},
        "training": {"mode": "linear"},
        "weights_of": {"mobilenet_v2": "mobile.pth", "resnet18": "residual.pth"},
        "model": {"backbone": "mobilenet_v2"},
        "factors": {"model.backbone": ["mobilenet_v2", "resnet18"]},
    }
    return parse_study(content | changes, source="test")


def models(study: Study) -> dict[str, str | None]:
    runs = ConfigRuns(study)
    configs = [runs.run({}, number)[1] for number in range(len(runs))]
    return {config.model.backbone: config.model.weights for config in configs}


def test_each_backbone_gets_its_weights() -> None:
    study = study_with()
    assert models(study) == {"mobilenet_v2": "mobile.pth", "resnet18": "residual.pth"}
    assert named_files(study) == {"mobile.pth": "weights_of.mobilenet_v2", "residual.pth": "weights_of.resnet18"}


def test_a_backbone_that_is_not_listed_has_those_of_the_model() -> None:
    study = study_with(
        weights_of={"resnet18": "residual.pth"}, model={"backbone": "mobilenet_v2", "weights": "IMAGENET1K_V1"}
    )
    assert models(study) == {"mobilenet_v2": "IMAGENET1K_V1", "resnet18": "residual.pth"}


def test_searched_weights_come_first() -> None:
    study = study_with(factors={"model.weights": ["one.pth", "other.pth"]}, weights_of={"mobilenet_v2": "mobile.pth"})
    assert set(models(study).values()) == {"other.pth"}  # the last of the two
    runs = ConfigRuns(study)
    assert [runs.run({}, number)[1].model.weights for number in (0, 1)] == ["one.pth", "other.pth"]


def test_a_linear_probe_on_random_weights_is_still_refused() -> None:
    with pytest.raises(StudyFileError, match="set pretrained weights"):
        study_with(weights_of={"mobilenet_v2": "mobile.pth"})


def test_weights_of_a_backbone_that_no_trial_has_are_a_problem() -> None:
    with pytest.raises(StudyFileError, match=r"resnet81: no trial has this backbone; the study's: mobilenet_v2, resn"):
        study_with(weights_of={"mobilenet_v2": "m.pth", "resnet18": "r.pth", "resnet81": "x.pth"})
