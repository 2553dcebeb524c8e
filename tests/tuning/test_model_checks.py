"""Every model that a search can reach is looked at, and no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wsml_study.errors import TrainingError
from wsml_study.study.reading import parse_study
from wsml_study.study.spec import Study
from wsml_study.tuning.model_checks import check_models, reachable_models


def study_of(search: dict[str, Any] | None = None, **sections: Any) -> Study:
    content = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}}
    return parse_study(content | sections | ({"search": search} if search else {}), source="test")


def test_the_models_of_a_search_are_listed_once_with_all_their_sizes() -> None:
    study = study_of(
        {
            "model.backbone": {"choice": ["small_cnn", "resnet18", "vit_b_16"]},
            "model.weights": {"when": {"model.backbone": ["resnet18"]}, "choice": ["IMAGENET1K_V1", "a.pth"]},
            "data.image_size": {"when": {"model.backbone": ["resnet18"]}, "int": {"low": 64, "high": 128}},
            "training.seed": {"choice": [0, 1]},
        },
    )
    assert reachable_models(study, 40) == {
        ("small_cnn", None, None): [40],
        ("resnet18", "IMAGENET1K_V1", None): [64, 128],
        ("resnet18", "a.pth", None): [64, 128],
        ("vit_b_16", None, None): [40],
    }


def test_the_sizes_of_all_levels_are_listed() -> None:
    study = study_of(
        {"training.seed": {"choice": [0, 1, 2]}},
        model={"backbone": "resnet18"},
        fidelity=[{"set": {"data.image_size": 24}, "survivors": 2}],
        trials=3,
    )
    assert reachable_models(study, 40) == {("resnet18", None, None): [24, 40]}


def test_all_problems_are_told_at_once() -> None:
    study = study_of(
        {"model.backbone": {"choice": ["vit_b_16", "resnet5", "resnet18"]}, "data.image_size": {"choice": [32, 224]}}
    )
    with pytest.raises(TrainingError) as failure:
        check_models(study, image_size=40, num_channels=1)
    first, second = sorted(str(failure.value).splitlines())
    assert first.startswith("model.backbone: expected small_cnn, linear, timm/NAME, open_clip/NAME or a torchvision")
    assert second.startswith("model.backbone: vit_b_16 does not take images of 32 x 32 pixels")


def test_checking_our_own_backbones_imports_no_torch(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("name: s\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\n")
    program = (
        "import sys\nfrom wsml_study.cli.entry import main\n"
        f"sys.argv = ['wsml-study', 'check', {str(tmp_path / 'study.yaml')!r}]\n"
        "try:\n    main()\nexcept SystemExit as exit:\n    assert not exit.code\n"
        "print('HEAVY', sorted({'torch', 'ray', 'optuna'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"
