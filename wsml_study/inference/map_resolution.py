"""At which resolution activation maps are computed, and how much of a photo one place of a map is.

A network that pools a feature map takes larger images than it was trained with, and its map has more places then; most
vision transformers take images of one size alone. What more places do to the pointing game is in benchmarks/README.md.

Shapes: c channels, R x R pixels, h x w places.
"""

from __future__ import annotations

import torch

from wsml_study.errors import TrainingError
from wsml_study.inference.model import TrainedModel
from wsml_study.training.activation_maps import ActivationMaps

COARSE, FINE = 7, 12
"""Places along a side of a map: with fewer than the first, images are enlarged until it has the second."""

MOST_ENLARGED = 4
"""Times the size of training, at most."""

LARGEST = 2048
"""Pixels of a side, as `data.image_size`."""


def map_resolution(model: TrainedModel, activations: ActivationMaps, asked: int | None) -> int:
    """Pixels of a side of the images that maps for a picture are computed from.

    Args:
        model: that sees them.
        activations: of it.
        asked: by the user; None for the model's own size, or, where its map has fewer than 7 places a side, enough for
            12, but at most 4 times that size; its own where it takes no other.

    Raises:
        TrainingError: the network does not take images of the asked size.
    """
    if asked is not None:
        check_resolution(model, activations, asked)
        return asked
    places = min(_places(model, activations, model.image_size))
    if places >= COARSE:
        return model.image_size
    enlarged = min(round(min(FINE / places, MOST_ENLARGED) * model.image_size), LARGEST)
    return enlarged if _refusal(model, activations, enlarged) is None else model.image_size


def check_resolution(model: TrainedModel, activations: ActivationMaps, resolution: int) -> None:
    """Raise TrainingError if the network does not take images of so many pixels a side."""
    if (refusal := _refusal(model, activations, resolution)) is not None:
        raise TrainingError(
            f"{model.folder}: {model.study.model.backbone} does not take images of {resolution} pixels: {refusal}; "
            f"leave out --resolution"
        )


def place_text(places: tuple[int, int], photo: tuple[int, int]) -> str:
    """What a place of a map is in a photo.

    Args:
        places: h and w.
        photo: width and height in pixels.

    >>> place_text((3, 3), (500, 375))
    '3 x 3 places of 167 x 125 px'
    """
    height, width = places
    return f"{width} x {height} places of {photo[0] / width:.0f} x {photo[1] / height:.0f} px"


def _places(model: TrainedModel, activations: ActivationMaps, resolution: int) -> tuple[int, int]:
    blank_1cRR = torch.zeros(1, model.channels, resolution, resolution, dtype=torch.uint8, device=model.device)
    height, width = activations(blank_1cRR).shape[-2:]
    return height, width


def _refusal(model: TrainedModel, activations: ActivationMaps, resolution: int) -> str | None:
    """Why the network does not take images of so many pixels a side; None if it does."""
    try:
        _places(model, activations, resolution)
    except (RuntimeError, ValueError, AssertionError) as error:  # timm's transformers assert their size
        return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return None
