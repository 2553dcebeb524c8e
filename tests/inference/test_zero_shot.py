"""Scores by CLIP: with a tiny model of random weights, since no published ones are at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from wsml_study.data.pseudo_labels import read_pseudo_scores
from wsml_study.errors import DataError, ResultsError, TrainingError
from wsml_study.inference.zero_shot import texts_of_classes, write_zero_shot_scores
from wsml_study.study.data_section import Data
from wsml_study.training.trial_data import dataset_of

open_clip = pytest.importorskip("open_clip")

NAME = "tiny-clip-of-a-test"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
SCENES = Data(dataset="digit_scenes")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    (folder / f"{NAME}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / f"{NAME}.json")
    torch.manual_seed(0)
    torch.save(open_clip.create_model(NAME).state_dict(), folder / "weights.pt")
    return str(folder / "weights.pt")


def write(output: Path, weights: str, *templates: str, backbone: str = f"open_clip/{NAME}", temperature: float = 0.1):
    return write_zero_shot_scores(
        SCENES,
        output,
        backbone=backbone,
        weights=weights,
        templates=templates or ("a {}",),
        temperature=temperature,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_table_is_what_pseudo_labels_reads_and_the_scores_are_clip_s(
    tmp_path: Path, weights: str, suffix: str
) -> None:
    dataset = dataset_of(SCENES)
    assert write(tmp_path / f"s{suffix}", weights, "a {}", "the {}") == len(dataset.train)
    found = read_pseudo_scores(str(tmp_path / f"s{suffix}"), dataset.classes, dataset.train.names)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-4)
    assert found.std(0).min() > 0, "scores depend on the image"
    model = open_clip.create_model(NAME).eval()
    model.load_state_dict(torch.load(weights, weights_only=True))
    with torch.no_grad():
        tokens = [open_clip.get_tokenizer(NAME)([f"a {name}", f"the {name}"]) for name in dataset.classes]
        texts = torch.stack([model.encode_text(one, normalize=True).mean(0) for one in tokens])
        texts = texts / texts.norm(dim=-1, keepdim=True)
        from wsml_study.data.image_store import open_images

        images = open_images(dataset.train.images, size=32, channels=3)
        pixels = torch.from_numpy(np.array(images[np.arange(5)])).float() / 255
        mean, std = (
            torch.tensor(one)[:, None, None] for one in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
        )
        image = model.encode_image((pixels - mean) / std)
        cosine = image @ texts.T / image.norm(dim=-1, keepdim=True)
    np.testing.assert_allclose(found[:5], torch.softmax(cosine / 0.1, -1).numpy(), atol=1e-5)


def test_a_class_may_have_texts_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('dog,"a dog, barking"\ndog,a puppy\n')
    found = texts_of_classes(["cat", "dog"], ["a {}"], tmp_path / "p.csv")
    assert found == (("a cat",), ("a dog, barking", "a puppy"))
    (tmp_path / "p.csv").write_text("cow,a cow\n")
    with pytest.raises(DataError, match=r"p\.csv:1: expected one of the classes and a text, got 'cow, a cow'"):
        texts_of_classes(["cat"], ["a {}"], tmp_path / "p.csv")
    with pytest.raises(DataError, match=r"expected a text with \{\} for the name of a class, got 'a photo'"):
        texts_of_classes(["cat"], ["a photo"])


def test_what_cannot_be_is_refused(tmp_path: Path, weights: str) -> None:
    with pytest.raises(ResultsError, match=r"ends in \.parquet or \.csv"):
        write(tmp_path / "s.txt", weights)
    with pytest.raises(DataError, match="expected open_clip/NAME"):
        write(tmp_path / "s.csv", weights, backbone="resnet50")
    with pytest.raises(TrainingError, match="no file"):
        write(tmp_path / "s.csv", str(tmp_path / "none.pt"))
    with pytest.raises(TrainingError, match="has no model 'no-such'"):
        write(tmp_path / "s.csv", weights, backbone="open_clip/no-such")
    assert not (tmp_path / "s.csv").exists()
