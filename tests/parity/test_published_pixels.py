"""A photo becomes the pixels that the published code's transforms give, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from wsml_study.data.decoded_rows import decode_into


@pytest.mark.parametrize(("width", "height"), [(50, 37), (20, 90), (32, 32)])
def test_resized_like_torchvision(width: int, height: int) -> None:
    """Their transform is `Resize((size, size))` on a Pillow image: bilinear, and smoothed where it shrinks."""
    pixels = np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)
    found = np.empty((3, 32, 32), np.uint8)
    assert decode_into(found, lambda row: Image.fromarray(pixels), 0) is None
    expected = np.asarray(transforms.Resize((32, 32))(Image.fromarray(pixels)))
    assert np.array_equal(found.transpose(1, 2, 0), expected)
