"""Images as cells of Parquet tables have them, one color each."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

COLORS = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]
NAMES = ["red", "green", "blue", "yellow", "cyan"]


def encoded(color: tuple[int, ...], form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), color).save(buffer, form)
    return buffer.getvalue()


def images(*, named: bool = True, form: str = "PNG") -> list[dict[str, Any]]:
    suffix = form.lower()
    return [
        {"bytes": encoded(color, form), "path": f"photos/{name}.{suffix}" if named else None}
        for name, color in zip(NAMES, COLORS, strict=True)
    ]
