"""Images that are decoded for each batch, in threads, instead of an array of all of them.

Shapes: N images, B of them asked for, c channels, H = W = size pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image

from wsml_study.data.dataset import Interpolation
from wsml_study.errors import DataError

MODES = {1: "L", 3: "RGB"}

Images = npt.NDArray[np.uint8]
OpenPicture = Callable[[int], Image.Image]
"""Row -> picture of any size, as `pixels.decoded` gives it; the caller closes it."""


class DecodedRows:
    """Stands for an array of images (N, channels, H, W) uint8; `images[rows_B]` decodes those rows."""

    def __init__(
        self,
        open_picture: OpenPicture,
        shape: tuple[int, ...],
        *,
        identity: str,
        name_of: Callable[[int], str],
    ) -> None:
        """Nothing is opened yet.

        Args:
            open_picture: decodes the picture of a row.
            shape: (N, channels, H, W).
            identity: names the source and how it is decoded; equal for equal pixels.
            name_of: names a row in an error.
        """
        self.shape = shape
        self.identity = identity
        self._open_picture = open_picture
        self._name_of = name_of
        self._threads: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows_B: npt.NDArray[np.int64]) -> Images:
        """Images (B, channels, H, W) of these rows.

        Raises:
            DataError: one cannot be decoded.
        """
        images_BcHW = np.empty((len(rows_B), *self.shape[1:]), dtype=np.uint8)

        def decode(place: int) -> str | None:
            return decode_into(images_BcHW[place], self._open_picture, int(rows_B[place]))

        for row, failure in zip(rows_B, self._pool().map(decode, range(len(rows_B))), strict=True):
            if failure is not None:
                raise DataError(f"{self._name_of(int(row))} cannot be decoded: {failure}; `wsml-study data verify`")
        return images_BcHW

    def _pool(self) -> ThreadPoolExecutor:
        import torch  # only here: readers of labels start without it

        if self._threads is None:
            self._threads = ThreadPoolExecutor(max_workers=torch.get_num_threads(), thread_name_prefix="decode")
        return self._threads


def decode_into(image_cHW: Images, open_picture: OpenPicture, row: int) -> str | None:
    """Decode the picture of a row and resize it into an array, without keeping its aspect; why that fails, or None."""
    channels, height, width = image_cHW.shape
    try:
        with open_picture(row) as picture:
            resized = picture.convert(MODES[channels])
            if resized.size != (width, height):
                resized = resized.resize((width, height), Image.Resampling.BILINEAR)
    except Exception as error:  # a damaged file can make a decoder raise anything
        return reason_of(error)
    image_cHW[:] = np.asarray(resized).reshape(height, width, channels).transpose(2, 0, 1)
    return None


def resized_to(size: int, open_picture: OpenPicture, interpolation: Interpolation) -> OpenPicture:
    """What opens pictures at a size already, unless they are resized bilinearly, as `decode_into` does it.

    Args:
        size: pixels of a side.
        open_picture: opens pictures of any size.
        interpolation: by which they are resized; always with antialiasing.
    """
    if interpolation == "bilinear":
        return open_picture

    def opened(row: int) -> Image.Image:
        with open_picture(row) as picture:
            return picture.resize((size, size), Image.Resampling.BICUBIC)

    return opened


def reason_of(error: Exception) -> str:
    """Why a picture cannot be decoded, without its name."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
