"""A model that all tests here share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.inference.models import digits_config, train_model
from wsml_study.data.digit_scenes import render_scenes
from wsml_study.inference.model import TrainedModel, load_model
from wsml_study.inference.thresholds import choose_thresholds


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_model(tmp_path_factory.mktemp("models"), digits_config("LL-R"))


@pytest.fixture(scope="session")
def decided_folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with thresholds for the best F1."""
    folder = shutil.copytree(model_folder, tmp_path_factory.mktemp("decided") / "small" / "seed_0")
    choose_thresholds(folder, best="f1", device="cpu")
    return folder


@pytest.fixture
def model(model_folder: Path) -> TrainedModel:
    return load_model(model_folder, device="cpu")


@pytest.fixture
def scenes(model: TrainedModel, tmp_path: Path) -> Path:
    """A folder with the first 70 test scenes as files, in folders of 10."""
    for number, image_1HW in enumerate(render_scenes("test", 70)):
        folder = tmp_path / "scenes" / f"{number // 10}0s"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image_1HW[0]).save(folder / f"{number:03d}.png")
    return tmp_path / "scenes"
