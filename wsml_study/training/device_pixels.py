"""The pixels of an image store in a GPU's memory, where they fit: batches are then taken from there, not sent.

One copy in each worker process, which its trials share. Shapes: N rows of the store, c channels, H = W pixels, B images
of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wsml_study.data.decoded_rows import DecodedRows, Images
from wsml_study.data.image_store import ImageRows

LARGEST_SHARE = 0.4
"""Of the memory that is free on the GPU when the first trial begins; the rest is for networks and their batches."""

BYTES_AT_ONCE = 64 * 2**20

_trials_per_gpu: ContextVar[int] = ContextVar("trials_per_gpu", default=1)


@dataclass
class _Held:
    """The copy of this process.

    Attributes:
        images_NcHW: the array that it is a copy of, by which it is recognized.
        pixels_NcHW: the copy; None where it does not fit.
    """

    images_NcHW: ImageRows | None = None
    pixels_NcHW: Tensor | None = None


_held = _Held()


@contextmanager
def gpu_shared_by(num_trials: int) -> Iterator[None]:
    """Within the block, the GPU is shared by so many trials at a time, each in a process with a copy of its own.

    Of 0 none has a copy.
    """
    token = _trials_per_gpu.set(num_trials)
    try:
        yield
    finally:
        _trials_per_gpu.reset(token)


def fits(num_bytes: int, *, free_bytes: int, num_trials: int) -> bool:
    """Whether so many bytes of pixels are kept on a GPU.

    >>> fits(49 * 10**9, free_bytes=140 * 10**9, num_trials=1), fits(49 * 10**9, free_bytes=140 * 10**9, num_trials=2)
    (True, False)

    Args:
        num_bytes: of one copy.
        free_bytes: of the GPU.
        num_trials: that share the GPU, with a copy each.
    """
    return num_bytes * num_trials <= LARGEST_SHARE * free_bytes


def pixels_on(device: torch.device, images_NcHW: ImageRows) -> Tensor | None:
    """The pixels (N, c, H, W) uint8 on a GPU, copied once per process; None on a CPU and where they do not fit.

    Images that are decoded for each batch are not copied. A copy of another array is given up first.
    """
    if device.type != "cuda" or isinstance(images_NcHW, DecodedRows) or not _trials_per_gpu.get():
        return None
    if _held.images_NcHW is not images_NcHW:
        _held.images_NcHW, _held.pixels_NcHW = images_NcHW, None
        torch.cuda.empty_cache()  # otherwise memory of earlier trials counts as taken
        free_bytes, _ = torch.cuda.mem_get_info(device)
        if fits(images_NcHW.nbytes, free_bytes=free_bytes, num_trials=_trials_per_gpu.get()):
            _held.pixels_NcHW = copied(images_NcHW, device)
    return _held.pixels_NcHW


def copied(images_NcHW: Images, device: torch.device) -> Tensor:
    """Images (N, c, H, W) uint8 on a device, copied in parts: the array may be larger than the machine's memory."""
    pixels_NcHW = torch.empty(images_NcHW.shape, dtype=torch.uint8, device=device)
    rows_at_once = max(1, BYTES_AT_ONCE // max(1, images_NcHW[:1].nbytes))
    for first in range(0, len(images_NcHW), rows_at_once):
        part = slice(first, first + rows_at_once)
        pixels_NcHW[part] = torch.from_numpy(np.array(images_NcHW[part]))
    return pixels_NcHW
