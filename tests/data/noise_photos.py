"""Photos of noise, as small as a test needs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_photo(path: Path, *, seed: int, width: int = 30, height: int = 20, mode: str = "RGB") -> None:
    """Write a JPEG, or whatever the suffix says."""
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    pixels = np.random.RandomState(seed).randint(0, 256, size=shape).astype(np.uint8)
    Image.fromarray(pixels).save(path)
