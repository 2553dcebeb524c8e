"""Batches of pictures from files, Pillow or arrays, decoded in threads while the network computes.

Shapes: B pictures of a batch, c channels, H = W pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from wsml_study.data.dataset import PixelRange
from wsml_study.data.decoded_rows import Images, OpenPicture, decode_into
from wsml_study.data.pixels import decoded, open_decoded
from wsml_study.data.stored_file import num_cpus

Picture: TypeAlias = str | Path | Image.Image | Images
"""A file, a Pillow image, or pixels, uint8 (H, W) or (H, W, 3)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelBatch:
    """Some pictures, in their order.

    Attributes:
        rows: that could be read.
        images_BcHW: their pixels, uint8.
        unreadable: rows that could not, and why.
    """

    rows: tuple[int, ...]
    images_BcHW: Images
    unreadable: tuple[tuple[int, str], ...]


def read_batches(
    open_picture: OpenPicture, num_pictures: int, *, size: int, channels: int, batch_size: int
) -> Iterator[PixelBatch]:
    """All pictures, row by row; a batch has `batch_size` readable ones, the last one what is left.

    Args:
        open_picture: decodes the picture of a row.
        num_pictures: rows.
        size: pixels of a side.
        channels: 1 for gray, 3 for RGB.
        batch_size: at least 1.
    """
    rows: list[int] = []
    images: list[Images] = []
    unreadable: list[tuple[int, str]] = []

    def batch() -> PixelBatch:
        images_BcHW = np.stack(images) if images else np.empty((0, channels, size, size), dtype=np.uint8)
        return PixelBatch(rows=tuple(rows), images_BcHW=images_BcHW, unreadable=tuple(unreadable))

    read = partial(read_pixels, open_picture, size=size, channels=channels)
    for row, pixels in enumerate(_in_order(read, num_pictures, ahead=2 * batch_size)):
        if isinstance(pixels, str):
            unreadable.append((row, pixels))
            continue
        rows.append(row)
        images.append(pixels)
        if len(images) == batch_size:
            yield batch()
            rows, images, unreadable = [], [], []
    if images or unreadable:
        yield batch()


def read_pixels(open_picture: OpenPicture, row: int, *, size: int, channels: int) -> Images | str:
    """A picture as the image store would keep it, uint8 (c, H, W), or why it cannot be read."""
    pixels_cHW = np.empty((channels, size, size), dtype=np.uint8)
    return decode_into(pixels_cHW, open_picture, row) or pixels_cHW


def open_any(picture: Picture, pixel_range: PixelRange) -> Image.Image:
    """Decode a picture of any supported type, as `pixels.decoded`; the caller closes the result.

    Raises:
        ValueError: an array is not uint8 (H, W) or (H, W, 3).
        DataError: a file is no picture, or of a mode that is not understood.
        OSError: a file cannot be read.
    """
    if isinstance(picture, str | Path):
        return open_decoded(picture, pixel_range)
    if isinstance(picture, Image.Image):
        return decoded(picture, pixel_range)
    check_pixels(picture)
    return Image.fromarray(picture)


def check_pixels(picture: Images) -> None:
    """Raise ValueError if an array is not uint8 (H, W) or (H, W, 3)."""
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != 3):
        raise ValueError(f"expected pixels, uint8 (H, W) or (H, W, 3), got {picture.dtype} {picture.shape}")


def _in_order(read: Callable[[int], Images | str], num_pictures: int, *, ahead: int) -> Iterator[Images | str]:
    """Results of `read` in order. At most `ahead` are decoded before they are consumed, which bounds memory."""
    executor = ThreadPoolExecutor(max_workers=num_cpus())
    waiting: deque[Future[Images | str]] = deque()
    try:
        for row in range(num_pictures):
            waiting.append(executor.submit(read, row))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
