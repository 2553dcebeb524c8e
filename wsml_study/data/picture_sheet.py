"""Sheets of pictures with captions: tiles, and text that is cut where it does not fit."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from wsml_study.data.inspection import fitting

Color = tuple[int, int, int]

TILE, MARGIN, LINE = 224, 12, 18
TITLE_SIZE, TEXT_SIZE = 16, 13
THUMBNAIL = 160
"""Pixels of the longer side of a thumbnail."""

TEXT, FAINT = (30, 30, 30), (110, 110, 110)


def photo_of(picture: Image.Image) -> Image.Image:
    """A picture scaled to fit a tile, and closed; strongly enlarged pictures keep sharp pixels."""
    with picture:
        scale = TILE / max(picture.size)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        kind = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.BILINEAR
        return picture.convert("RGB").resize(size, kind)


def thumbnail(picture: Image.Image) -> Image.Image:
    """A picture of at most 160 pixels a side, RGB; the picture is closed."""
    with picture:
        small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return small


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
        color: Color = TEXT,
        width: int = TILE,
    ) -> None:
        """Write as much of a text as fits into a width."""
        font = ImageFont.load_default(size=size)
        self._draw.text((left, top), fitting(self._draw, text, font, width), fill=color, font=font)

    def paste(self, picture: Image.Image, left: int, top: int) -> None:
        """Put a picture in the middle of a tile."""
        self._sheet.paste(picture, (left + (TILE - picture.width) // 2, top + (TILE - picture.height) // 2))
