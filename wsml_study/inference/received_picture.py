"""A picture that came over the network: what is refused before it is decoded, and how it becomes pixels.

Shapes: c channels, S x S pixels as the model takes them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from http import HTTPStatus

import numpy as np
from PIL import Image, UnidentifiedImageError

from wsml_study.data.dataset import Interpolation, PixelRange
from wsml_study.data.decoded_rows import Images, decode_into, reason_of, resized_to
from wsml_study.data.pixels import decoded, image_suffixes

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
"""Formats of photos. Pillow knows others, some of which start programs (EPS) or that hardly anybody looks after."""

NAMES = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC"
MOST_SHOWN = 200


class RefusedPictureError(Exception):
    """A picture or a request is not accepted.

    Attributes:
        status: of HTTP, 4xx or 5xx.
        reason: for the sender.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(status, reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True, kw_only=True)
class PictureFormat:
    """What a model takes.

    Attributes:
        size: pixels of a side, S.
        channels: 1 or 3.
        pixel_range: of pictures of more than 8 bits, as in training.
        most_pixels: width times height of the largest picture that is decoded.
        interpolation: by which pictures are resized, as in training.
    """

    size: int
    channels: int
    pixel_range: PixelRange
    most_pixels: int
    interpolation: Interpolation = "bilinear"


def read_received(content: bytes, taken: PictureFormat) -> Images:
    """Pixels, uint8 (c, S, S), of the bytes of an image file, decoded as files are in `predict`.

    Raises:
        RefusedPictureError: it is of no known format (415), has too many pixels (413) or is damaged (422).
    """
    image_suffixes()  # loads Pillow's formats, and that of HEIC where the plug-in is installed
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        picture = Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        raise RefusedPictureError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"not a picture of a known format ({NAMES}), or damaged at its beginning"
        ) from None
    except Exception as error:  # a damaged file can make Pillow raise anything
        raise _damaged(reason_of(error)) from error
    with picture:
        num_pixels = picture.width * picture.height
        if num_pixels > taken.most_pixels:
            raise RefusedPictureError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{picture.width:,} x {picture.height:,} pixels are more than {taken.most_pixels:,}; send it smaller",
            )
        pixels_cSS = np.empty((taken.channels, taken.size, taken.size), dtype=np.uint8)
        opened = resized_to(taken.size, lambda _: decoded(picture, taken.pixel_range), taken.interpolation)
        reason = decode_into(pixels_cSS, opened, 0)
    if reason is not None:
        raise _damaged(reason)
    return pixels_cSS


def _damaged(reason: str) -> RefusedPictureError:
    return RefusedPictureError(HTTPStatus.UNPROCESSABLE_ENTITY, f"cannot be decoded: {reason[:MOST_SHOWN]}")
