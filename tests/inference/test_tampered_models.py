"""Model folders that were damaged or edited by hand: one error that names the file, no traceback, no hang."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.inference.tampering import TAMPERINGS, VALUES
from wsml_study.errors import WsmlStudyError
from wsml_study.inference.model import load_model

FILES = ("classes.json", "preprocessing.json", "config.yaml", "metrics.json", "model.safetensors")
JSON_FILES = FILES[:2]


@pytest.fixture
def copied(model_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model_folder, tmp_path / "model")


def assert_refused(folder: Path, *, names: str) -> str:
    with pytest.raises(WsmlStudyError) as caught:
        load_model(folder, device="cpu")
    message = str(caught.value)
    assert names in message
    assert len(message) < 1_000
    return message


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_classes_must_be_a_list_of_different_names(copied: Path, value: object) -> None:
    (copied / "classes.json").write_text(json.dumps(value))
    assert "expected a list of different class names" in assert_refused(copied, names="classes.json")


@pytest.mark.parametrize("key", ["image_size", "channels"])
@pytest.mark.parametrize("value", [10**9, -5, 0, "abc", None, True, 1.5, [], {}], ids=repr)
def test_sizes_must_be_whole_numbers_of_use(copied: Path, key: str, value: object) -> None:
    path = copied / "preprocessing.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert f"{key}: expected a whole number, 1 " in assert_refused(copied, names="preprocessing.json")


@pytest.mark.parametrize("name", JSON_FILES)
def test_brackets_in_brackets_are_no_traceback(copied: Path, name: str) -> None:
    (copied / name).write_text("[" * 100_000)
    assert "cannot be read as JSON" in assert_refused(copied, names=name)


def test_tags_in_the_config_run_no_code(copied: Path, tmp_path: Path) -> None:
    path = copied / "config.yaml"
    path.write_text(path.read_text() + f"extra: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    assert_refused(copied, names="config.yaml")
    assert not (tmp_path / "made").exists()


def test_weights_that_are_not_finite_are_refused(copied: Path) -> None:
    path = copied / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    name = next(iter(weights))
    weights[name].view(-1)[0] = torch.nan
    safetensors.torch.save_file(weights, path)
    assert f"expected finite weights, got others in {name}" in assert_refused(copied, names="model.safetensors")


def test_weights_of_another_network_are_refused(copied: Path) -> None:
    path = copied / "config.yaml"
    text = path.read_text()
    assert "backbone: small_cnn" in text
    path.write_text(text.replace("backbone: small_cnn", "backbone: resnet18"))
    assert "these are not the weights of the config.yaml" in assert_refused(copied, names="model.safetensors")


def test_a_class_too_few_is_refused_with_the_layer_that_differs(copied: Path) -> None:
    path = copied / "classes.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:-1]))
    assert "size mismatch" in assert_refused(copied, names="model.safetensors")


@pytest.mark.timeout(300)
def test_of_fifty_folders_damaged_at_random_none_gives_a_traceback(model_folder: Path, tmp_path: Path) -> None:
    """A flipped bit of a weight or of a name may go unnoticed: then the model loads."""
    refused, longest = 0, 0
    for seed in range(50):
        chance = random.Random(seed)
        folder = shutil.copytree(model_folder, tmp_path / str(seed))
        name, tamper = FILES[seed % len(FILES)], TAMPERINGS[seed % len(TAMPERINGS)]
        tamper(folder / name, chance)
        try:
            load_model(folder, device="cpu")
        except WsmlStudyError as error:
            refused += 1
            longest = max(longest, len(str(error)))
        except Exception as error:
            pytest.fail(f"seed {seed}: {tamper.__name__} of {name}: {type(error).__name__}: {error}")
    assert refused >= 30
    assert longest < 3_000
