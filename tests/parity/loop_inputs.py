"""What the published training loops were run on, and what the tests train on: images, labels, weights, orders.

Images and labels come from NumPy's RandomState, weights from plain arithmetic, orders and mirrored images from
`order_of_epoch`. Shapes: N images of a split, C classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor

from tests.parity.inputs import GOLDEN
from wsml_study.training.randomness import order_of_epoch
from wsml_study.training.trial_data import LabelledImages, TrialData

BACKBONE = "shufflenet_v2_x0_5"
"""It has batch normalization and depthwise convolutions, pools by the mean, and has no dropout."""

CLASSES = ("a", "b", "c", "d", "e")
NUM_IMAGES = {"train": 60, "validation": 40, "test": 40}
SEED = 7


def images_of(split: str) -> LabelledImages:
    """Images of 32 pixels whose classes are stripes in noise; one positive is observed."""
    draw = np.random.RandomState(list(NUM_IMAGES).index(split))
    num_images, num_classes = NUM_IMAGES[split], len(CLASSES)
    truth_NC = np.where(draw.rand(num_images, num_classes) < 0.35, 1, -1).astype(np.int8)
    truth_NC[np.arange(num_images), draw.randint(0, num_classes, num_images)] = 1
    images_N3HW = draw.randint(0, 160, (num_images, 3, 32, 32)).astype(np.uint8)
    for row, column in zip(*np.nonzero(truth_NC > 0), strict=True):
        images_N3HW[row, column % 3, 6 * column + 1 : 6 * column + 6, ::2] += np.uint8(draw.randint(20, 90))
    observed_NC = np.zeros_like(truth_NC)
    for row in range(num_images):
        observed_NC[row, draw.choice(np.flatnonzero(truth_NC[row] > 0))] = 1
    return LabelledImages(
        images_NcHW=images_N3HW,
        names_N=tuple(f"{split}-{row}" for row in range(num_images)),
        rows_M=np.arange(num_images),
        truth_MC=truth_NC,
        observed_MC=observed_NC,
    )


def loop_data() -> TrialData:
    return TrialData(
        classes=CLASSES,
        train=images_of("train"),
        validation=images_of("validation"),
        test=images_of("test"),
        horizontal_flip=True,
    )


def spread(shape: torch.Size | tuple[int, ...], shift: float) -> Tensor:
    """Distinct values spread evenly over (-1, 1), float64."""
    position = torch.arange(1, 1 + int(np.prod(shape)), dtype=torch.float64)
    return 2 * ((position * GOLDEN + shift) % 1).reshape(shape) - 1


def backbone_weights() -> dict[str, Tensor]:
    """All weights of the backbone as torchvision has them, float32, the same on every machine."""
    draw = np.random.RandomState(5)
    state: dict[str, Tensor] = torchvision.models.get_model(BACKBONE, weights=None).state_dict()
    for name, tensor in state.items():
        if tensor.ndim > 1:
            # Variance 2 / fan-in keeps the scale of activations.
            values = draw.standard_normal(tensor.shape) * (2 / tensor[0].numel()) ** 0.5
        elif name.endswith(("weight", "running_var")):
            values = draw.uniform(0.8, 1.2, tensor.shape)
        else:
            values = draw.uniform(0.0, 0.4, tensor.shape)
        if tensor.is_floating_point():
            state[name] = torch.tensor(values, dtype=torch.float32)
    return state


def head_weights(num_features: int) -> tuple[Tensor, Tensor]:
    """Initial weight (C, D) and bias (C,) of the head, float64."""
    num_classes = len(CLASSES)
    return 0.03 * spread((num_classes, num_features), 0.2), 0.03 * spread((num_classes,), 0.6)


def save_backbone(folder: Path) -> str:
    """A .pth file of the backbone's weights."""
    torch.save(backbone_weights(), folder / "backbone.pth")
    return str(folder / "backbone.pth")


def digest_of_orders(num_epochs: int) -> list[int]:
    """Per epoch a number that depends on the order of the images and on the mirrored ones."""
    places_N: Any = torch.arange(1, NUM_IMAGES["train"] + 1)
    digests = []
    for epoch in range(1, num_epochs + 1):
        order_N, mirrored_N = order_of_epoch(NUM_IMAGES["train"], seed=SEED, epoch=epoch)
        digests.append(int((places_N * (1 + order_N)).sum() + 100_000 * (places_N * mirrored_N).sum()))
    return digests
