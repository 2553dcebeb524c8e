"""Models loaded from their folders: what they say, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import get_model

import wsml_study
from tests.inference.models import config_of, digits_config, train_model
from wsml_study.data.digit_scenes import CLASSES, render_scenes
from wsml_study.errors import DataError, ResourcesError, ResultsError
from wsml_study.inference.evaluation import evaluate_model
from wsml_study.inference.model import TrainedModel, load_model


def test_python_programs_load_a_model_from_the_package(model_folder: Path) -> None:
    model = wsml_study.load_model(str(model_folder))
    assert model.classes == CLASSES
    assert (model.image_size, model.channels) == (32, 1)
    assert model.name == "small, seed 0"
    with pytest.raises(AttributeError, match="has no attribute 'save_model'"):
        _ = wsml_study.save_model  # type: ignore[attr-defined]


def test_files_pictures_and_pixels_give_the_same(model: TrainedModel, scenes: Path) -> None:
    pixels = render_scenes("test", 3)[:, 0]
    files = [scenes / "00s" / f"00{number}.png" for number in range(3)]
    by_pixels = model.predict(list(pixels))
    assert by_pixels.shape == (3, 10)
    assert by_pixels.dtype == np.float64
    assert ((by_pixels > 0) & (by_pixels < 1)).all()
    assert np.array_equal(model.predict([Image.fromarray(one) for one in pixels]), by_pixels)
    assert np.array_equal(model.predict([files[0], str(files[1]), pixels[2]]), by_pixels)
    assert len({tuple(row) for row in by_pixels}) == 3


def test_a_picture_of_the_caller_stays_open(model: TrainedModel, scenes: Path) -> None:
    with Image.open(scenes / "00s" / "000.png") as picture:
        first = model.predict([picture])
        assert np.array_equal(model.predict([picture]), first)


def test_images_of_any_size_and_mode_are_taken(model: TrainedModel) -> None:
    colors = np.random.RandomState(0).randint(0, 256, (50, 70, 3)).astype(np.uint8)
    picture = Image.fromarray(colors)
    kinds = [colors, picture, picture.convert("RGBA"), picture.convert("P"), picture.convert("CMYK")]
    assert model.predict(kinds).shape == (5, 10)
    assert model.predict([]).shape == (0, 10)


def test_the_size_of_batches_changes_last_digits_at_most(model: TrainedModel) -> None:
    pixels = list(render_scenes("test", 20)[:, 0])
    np.testing.assert_allclose(model.predict(pixels, batch_size=3), model.predict(pixels), rtol=1e-5)


def test_probabilities_rank_as_large_logits_do(model: TrainedModel) -> None:
    with torch.no_grad():
        model.classifier.head.bias += 20
    images = render_scenes("test", 30)
    logits, probabilities = model.logits([images]).numpy(), model.probabilities(images)
    assert logits.min() > 10
    assert np.array_equal(np.argsort(logits, axis=None), np.argsort(probabilities, axis=None))


def test_what_is_no_list_of_images_is_refused(model: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a list of images, got one str; put it in a list"):
        model.predict("photo.png")
    with pytest.raises(ValueError, match=r"expected pixels, uint8 \(H, W\) or \(H, W, 3\), got float64 \(4, 4\)"):
        model.predict([np.zeros((4, 4))])
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError) as raised:
        model.predict([tmp_path / "text.png", tmp_path / "gone.png", np.zeros((4, 4), np.uint8)])
    assert f"{tmp_path / 'text.png'}: not an image of a known format" in str(raised.value)
    assert f"{tmp_path / 'gone.png'}: No such file or directory" in str(raised.value)


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessing.json", "classes.json", "config.yaml"])
def test_a_folder_that_lacks_a_file_is_no_model(model_folder: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    (copy / name).unlink()
    with pytest.raises(ResultsError, match=f"is not a complete model: it lacks {name}"):
        load_model(copy)


def test_a_folder_of_several_models_names_them(model_folder: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        shutil.copytree(model_folder, tmp_path / f"seed_{seed}")
    with pytest.raises(ResultsError, match=r"holds several models: name one of .*seed_0, .*seed_1"):
        load_model(tmp_path)
    with pytest.raises(ResultsError, match="expected a model's folder, got nothing"):
        load_model(tmp_path / "gone")


def test_weights_of_another_config_are_refused(model_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    (copy / "classes.json").write_text(json.dumps(["a", "b"]))
    with pytest.raises(ResultsError, match=r"these are not the weights of the config.yaml and classes.json beside it"):
        load_model(copy)
    (copy / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ResultsError, match="these are not the weights"):
        load_model(copy)
    (copy / "classes.json").write_text("[")
    with pytest.raises(ResultsError, match=r"classes.json: cannot be read"):
        load_model(copy)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_named(model_folder: Path) -> None:
    with pytest.raises(ResourcesError, match="there is no CUDA GPU"):
        load_model(model_folder, device="cuda")


def test_pretrained_weights_need_not_be_there_to_use_a_model(tmp_path: Path) -> None:
    """Normalized as for the weights that it started from, which are gone by now."""
    weights = tmp_path / "start.pth"
    torch.save(get_model("mobilenet_v2", weights=None).state_dict(), weights)
    config = digits_config(epochs=1, batch_size=300)
    config = config.model_copy(
        update={"model": config.model.model_copy(update={"backbone": "mobilenet_v2", "weights": str(weights)})}
    )
    folder = train_model(tmp_path, config)
    weights.unlink()
    model = load_model(folder)
    assert (model.classifier.mean.flatten() / 255).tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert json.loads((folder / "preprocessing.json").read_text())["mean"] == [0.485, 0.456, 0.406]
    assert model.predict(list(render_scenes("test", 2)[:, 0])).shape == (2, 10)


def test_a_model_of_given_features_says_so_and_takes_no_images(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    np.save(tmp_path / "features.npy", random.rand(60, 5).astype(np.float32))
    np.save(tmp_path / "labels.npy", (random.rand(60, 3) < 0.5).astype(np.float32))
    files = {"file": "features.npy", "labels_file": "labels.npy"}
    config = config_of(
        {
            "data": {"dataset": "features", "root": str(tmp_path), "features": files},
            "model": {"backbone": "linear"},
            "method": {"name": "AN"},
            "training": {"epochs": 2},
        }
    )
    folder = train_model(tmp_path, config)
    assert json.loads((folder / "preprocessing.json").read_text()) == {"features": 5}
    card = (folder / "README.md").read_text()
    assert "| features | 5, given in place of images |" in card
    assert "The weights hold one linear layer over 5 features" in card
    with pytest.raises(ResultsError, match="this model takes 5 given features and not images"):
        load_model(folder)


def test_a_head_on_frozen_features_is_a_whole_model(tmp_path: Path) -> None:
    """Its features were computed once, in batches of their own; the whole network agrees up to the last digits."""
    weights = tmp_path / "start.pth"
    torch.save(get_model("mobilenet_v2", weights=None).state_dict(), weights)
    config = config_of(
        {
            "data": {"dataset": "digit_scenes"},
            "model": {"backbone": "mobilenet_v2", "weights": str(weights)},
            "method": {"name": "AN"},
            "training": {"epochs": 2, "mode": "linear", "learning_rate": 1e-3},
        }
    )
    folder = train_model(tmp_path, config)
    assert (
        "linear probe: only the head was trained, on features of the frozen backbone"
        in (folder / "README.md").read_text()
    )
    written = json.loads((folder / "metrics.json").read_text())
    assert evaluate_model(folder, None).map == pytest.approx(written["test_map"], abs=0.05)
