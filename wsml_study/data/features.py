"""Features of images from a frozen backbone, computed once and kept in the cache as the image store keeps images.

Shapes: N images, D features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsml_study.data.stored_file import (
    Progress,
    default_cache_dir,
    made_once,
    make_array,
    open_array,
    writable_by_others,
)
from wsml_study.errors import DataError

VERSION = 1
"""Part of every fingerprint. Raise it when the same images and weights would give other features."""

ROWS_PER_BLOCK = 64
"""Images that go through the backbone at a stretch."""

CHECKED_ROWS = 8
LARGEST_DIFFERENCE = 0.05
"""Mean difference between devices, as a fraction of the mean size of a feature."""

WHAT = "features"

Features = npt.NDArray[np.float32]

_progress: ContextVar[Progress | None] = ContextVar("features_progress", default=None)


@contextmanager
def features_progress(progress: Progress) -> Iterator[None]:
    """Within the block, tell how far features are that this thread computes: the images done and all images."""
    token = _progress.set(progress)
    try:
        yield
    finally:
        _progress.reset(token)


def stored_features(
    *,
    images: str,
    backbone: str,
    num_images: int,
    num_features: Callable[[], int],
    compute: Callable[[range], Features],
    cache_dir: Path | None = None,
) -> Features:
    """Features (N, D) float32, memory-mapped and read-only; computed now if never before.

    Several processes may ask for the same features at once: one does the work, the others wait for it; if it is killed,
    the next one continues. A file that other users can write is checked by computing a few rows anew.

    Args:
        images: stands for everything that decides the pixels.
        backbone: stands for everything that turns pixels into features: network, weights, mirroring.
        num_images: N.
        num_features: says D, asked only where they are computed.
        compute: gives the features (B, D) of a block of rows.
        cache_dir: folder of the cache; `default_cache_dir()` if None.

    Raises:
        DataError: the cache cannot be written, is damaged, or can be written by others and holds other features; or a
            feature is not a finite number.
    """
    digest = hashlib.sha256("\0".join([f"{VERSION} {num_images}", images, backbone]).encode()).hexdigest()
    stored = (cache_dir or default_cache_dir()) / f"features-{digest[:32]}.npy"

    def fill(features_ND: Features, blocks: list[range]) -> Iterator[range]:
        for block in blocks:
            features_BD = compute(block)
            if not np.isfinite(features_BD).all():
                raise DataError("the frozen backbone gives features that are not finite; its weights are damaged")
            features_ND[block.start : block.stop] = features_BD
            yield block

    def make() -> None:
        make_array(
            stored,
            (num_images, num_features()),
            np.float32,
            rows_per_block=ROWS_PER_BLOCK,
            fill=fill,
            check=lambda: None,
            what=WHAT,
            progress=_progress.get(),
        )

    made_once(stored, make, what=WHAT)
    features_ND: Features = open_array(stored, (num_images, None), np.float32, what=WHAT)
    if (reason := writable_by_others(stored)) is not None:
        _check_anew(features_ND, compute, stored, reason)
    return features_ND


def _check_anew(features_ND: Features, compute: Callable[[range], Features], stored: Path, reason: str) -> None:
    """Compute a few features of a file that others can write, and compare.

    Raises:
        DataError: they differ by more than devices do.
    """
    start = int(np.random.default_rng().integers(len(features_ND)))
    rows = range(start, min(start + CHECKED_ROWS, len(features_ND)))
    expected_BD, kept_BD = compute(rows), features_ND[rows.start : rows.stop]
    alike = expected_BD.shape == kept_BD.shape and bool(
        np.abs(kept_BD - expected_BD).mean() <= LARGEST_DIFFERENCE * np.abs(expected_BD).mean()
    )
    if not alike:
        raise DataError(
            f"{stored}: {reason}, and what it holds are not the features of these images; have it deleted, or set "
            f"WSML_CACHE to a folder of your own"
        )
