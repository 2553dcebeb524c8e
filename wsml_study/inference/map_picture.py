"""Drawing of a sheet of activation maps: tiles with photos, overlaid colors, and captions.

Shapes: h x w places of a feature map, H x W pixels of a photo.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from wsml_study.data.inspection import fitting

TILE, MARGIN, LINE = 224, 12, 18
TITLE_SIZE, TEXT_SIZE = 16, 13
TEXT, FAINT = (30, 30, 30), (110, 110, 110)

HEAT = np.array([[40, 60, 200], [0, 170, 220], [60, 200, 90], [250, 210, 40], [220, 30, 30]], dtype=np.float64)
"""Colors from the least to the largest activation; the least is nearly transparent."""

STRONGEST = 0.7
"""Opacity of the color of the largest activation."""


def photo_of(picture: Image.Image) -> Image.Image:
    """A picture scaled to fit a tile, and closed; strongly enlarged pictures keep sharp pixels."""
    with picture:
        scale = TILE / max(picture.size)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        kind = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.BILINEAR
        return picture.convert("RGB").resize(size, kind)


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


class Page:
    """A sheet to write and paste on."""

    def __init__(self, sheet: Image.Image) -> None:
        self._sheet, self._draw = sheet, ImageDraw.Draw(sheet)

    def write(
        self,
        left: int,
        top: int,
        text: str,
        *,
        size: int = TEXT_SIZE,
        color: tuple[int, int, int] = TEXT,
        width: int = TILE,
    ) -> None:
        """Write as much of a text as fits into a width."""
        font = ImageFont.load_default(size=size)
        self._draw.text((left, top), fitting(self._draw, text, font, width), fill=color, font=font)

    def paste(self, picture: Image.Image, left: int, top: int) -> None:
        """Put a picture in the middle of a tile."""
        self._sheet.paste(picture, (left + (TILE - picture.width) // 2, top + (TILE - picture.height) // 2))
