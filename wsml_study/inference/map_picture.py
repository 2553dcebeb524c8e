"""Colors of activation maps over photos.

Shapes: h x w places of a feature map, H x W pixels of a photo.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

HEAT = np.array([[40, 60, 200], [0, 170, 220], [60, 200, 90], [250, 210, 40], [220, 30, 30]], dtype=np.float64)
"""Colors from the least to the largest activation; the least is nearly transparent."""

STRONGEST = 0.7
"""Opacity of the color of the largest activation."""


def overlaid(photo: Image.Image, map_hw: npt.NDArray[np.float32]) -> Image.Image:
    """A photo under the colors of an activation map of any size; one that is the same everywhere changes nothing."""
    spread = float(map_hw.max() - map_hw.min())
    scaled_hw = (map_hw - map_hw.min()) / spread if spread > 0 else np.zeros_like(map_hw)
    heat = Image.fromarray(scaled_hw.astype(np.float32)).resize(photo.size, Image.Resampling.BILINEAR)
    heat_HW = np.asarray(heat, dtype=np.float64).clip(0, 1)
    colors_HW3 = np.stack([np.interp(heat_HW, np.linspace(0, 1, len(HEAT)), stops) for stops in HEAT.T], axis=-1)
    covered_HW1 = (STRONGEST * heat_HW)[..., None]
    mixed_HW3 = (1 - covered_HW1) * np.asarray(photo, dtype=np.float64) + covered_HW1 * colors_HW3
    return Image.fromarray(np.rint(mixed_HW3).astype(np.uint8))
