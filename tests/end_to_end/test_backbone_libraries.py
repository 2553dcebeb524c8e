"""Studies with backbones of torchvision, timm and open_clip, from check to a map, as a user runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

pytest.importorskip("timm", reason="needs pip install 'wsml-study[timm]'")
pytest.importorskip("open_clip", reason="needs pip install 'wsml-study[open_clip]'")
pytest.importorskip("onnx", reason="needs pip install 'wsml-study[onnx]'")

STUDY = """\
name: {name}
data: {{dataset: digit_scenes, image_size: 64, train_share: 0.1}}
model: {{backbone: {backbone}}}
method: {{name: LL-R, schedule: {{rate_per_epoch: 0.01}}}}
training: {{epochs: 2, batch_size: 32, learning_rate: 1e-3}}
search: {{method.name: {{choice: [AN, LL-R]}}}}
sampler: {{name: grid}}
trials: 2
confirm: {{top: 1, seeds: 2}}
resources: {{gpus_per_worker: 0}}
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "backbone"),
    [
        ("torchvision", "mobilenet_v2"),
        ("timm", "timm/vit_tiny_patch16_224"),
        ("clip", "open_clip/ViT-S-32"),
    ],
)
def test_from_check_to_a_map(name: str, backbone: str, cli) -> None:
    cli.write("study.yaml", STUDY.format(name=name, backbone=backbone))
    assert backbone in cli("check", "study.yaml")
    assert "2 of 2 trials ended (2 complete" in cli("run", "study.yaml", timeout=900)
    assert re.search(r"AN|LL-R", cli("confirm", "study.yaml", timeout=900))
    cli("export", "study.yaml", "--trial", "0", "-o", "configs")
    config = next((cli.folder / "configs").glob("*.yaml"))
    printed = cli("train", config, "--onnx", "-o", "models", timeout=900)
    assert "model.onnx: as predict on 8 pictures of 4 sizes" in printed
    model = next((cli.folder / "models").glob("*/seed_0"))
    photo = a_photo(cli.folder / "photos" / "photo.png")
    cli("predict", model, "photos", "-o", "predictions.parquet")
    assert len(pd.read_parquet(cli.folder / "predictions.parquet")) == 1
    cli("maps", model, photo, "-o", "map.png")
    assert Image.open(cli.folder / "map.png").width > 200


def a_photo(path: Path) -> Path:
    path.parent.mkdir()
    Image.radial_gradient("L").save(path)
    return path
