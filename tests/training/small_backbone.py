"""A torchvision backbone small enough for tests, with weights in a file, and photos of stripes for it to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image

from wsml_study.data.label_files import LabelFiles
from wsml_study.study.data_section import Data, Validation
from wsml_study.study.model_section import Model

BACKBONE = "shufflenet_v2_x0_5"
CLASSES = ("left", "middle", "right")


def small_model(folder: Path) -> Model:
    """Weights at random, the same each time, whose batch statistics are those of noise."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(BACKBONE, weights=None).train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.randn(16, 3, 32, 32))
    torch.save(network.state_dict(), folder / "backbone.pth")
    return Model(backbone=BACKBONE, weights=str(folder / "backbone.pth"))


def striped_photos(folder: Path, num_images: int = 60) -> Data:
    """Photos of 32 pixels in which a bright stripe shows that a class is there; some are to test on."""
    draw = np.random.RandomState(3)
    lines = ["image," + ",".join(CLASSES)]
    for number in range(num_images):
        shown = draw.rand(len(CLASSES)) < 0.4
        shown[number % len(CLASSES)] = True
        pixels = draw.randint(0, 80, (32, 32, 3)).astype(np.uint8)
        for column in np.flatnonzero(shown):
            pixels[:, 11 * column + 1 : 11 * column + 8] = 220
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
        lines.append(f"{number:02d}.png," + ",".join(str(int(one)) for one in shown))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return Data(
        dataset="table",
        root=str(folder),
        labels=LabelFiles(file=str(folder / "labels.csv")),
        image_size=32,
        validation=Validation(fraction=0.25),
    )
