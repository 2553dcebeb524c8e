"""Inputs of a classifier, batch by batch on its device: images as they are stored, or features.

Shapes: N rows of the image store, M rows of a split, B of a batch, c channels, H = W pixels, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from wsml_study.data.decoded_rows import DecodedRows
from wsml_study.training.trial_data import LabelledImages, SplitName

Changed = Callable[[Tensor, Tensor], Tensor]
"""Images (B, c, H, W) and their rows (B,) of the split, on the CPU -> changed images."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Inputs(Protocol):
    """The inputs of one split."""

    def batches(
        self, positions: Sequence[Tensor], mirrored_M: Tensor | None = None, changed: Changed | None = None
    ) -> Iterator[Tensor]:
        """Inputs (B, ...) on the device, batch by batch.

        Args:
            positions: rows of the split, int64 (B,) on the CPU, for each batch.
            mirrored_M: which rows are to be mirrored, on the CPU; None for none.
            changed: augments images, after mirroring; features are not augmented.
        """


class TrialInputs:
    """The inputs of every split of a trial in one phase, made when first asked for.

    Linear probes that share their features hold one and the same object, so that features are on the device once.
    """

    def __init__(self, make: Callable[[SplitName], Inputs]) -> None:
        """Make nothing yet; `make` gives the inputs of a split."""
        self._make = make
        self._by_split: dict[SplitName, Inputs] = {}

    def of(self, split: SplitName) -> Inputs:
        """The inputs of a split."""
        if split not in self._by_split:
            self._by_split[split] = self._make(split)
        return self._by_split[split]

    def features_of(self, split: SplitName) -> FeatureInputs:
        """The inputs of a split, in a linear probe."""
        inputs = self.of(split)
        assert isinstance(inputs, FeatureInputs)
        return inputs


class ImageInputs:
    """Images (B, channels, H, W) uint8 as they are stored; mirrored on the device."""

    def __init__(
        self, split: LabelledImages, device: torch.device, *, flips: bool, pixels_NcHW: Tensor | None = None
    ) -> None:
        """Fetch nothing yet.

        Args:
            split: rows with images.
            device: of the batches.
            flips: whether rows in `mirrored_M` are mirrored; False ignores it.
            pixels_NcHW: the split's images on the device, from which batches are taken then; None sends each batch.
        """
        self._split, self._device, self._flips, self._pixels_NcHW = split, device, flips, pixels_NcHW
        # Decoding, and pinning memory for the copy to a GPU, take long enough to pay for a thread that does them while
        # the batch before is trained on.
        self._ahead = device.type == "cuda" or isinstance(split.images_NcHW, DecodedRows)

    def batches(
        self, positions: Sequence[Tensor], mirrored_M: Tensor | None = None, changed: Changed | None = None
    ) -> Iterator[Tensor]:
        """As `Inputs` says."""
        if self._pixels_NcHW is not None:
            fetched: Iterator[Tensor] = map(self._taken, positions)
        else:
            fetched = one_ahead(self._fetch, positions) if self._ahead else map(self._fetch, positions)
        for positions_B, images_BcHW in zip(positions, fetched, strict=True):
            images_BcHW = images_BcHW.to(self._device, non_blocking=True)
            if self._flips and mirrored_M is not None:
                flip_B = sent(mirrored_M[positions_B], self._device).view(-1, 1, 1, 1)
                images_BcHW = torch.where(flip_B, images_BcHW.flip(-1), images_BcHW)
            yield images_BcHW if changed is None else changed(images_BcHW, positions_B)

    def _taken(self, positions_B: Tensor) -> Tensor:
        """Images (B, channels, H, W) of the copy on the device."""
        assert self._pixels_NcHW is not None
        rows_B = torch.from_numpy(self._split.rows_M[positions_B.numpy()])
        return self._pixels_NcHW[sent(rows_B, self._device)]

    def _fetch(self, positions_B: Tensor) -> Tensor:
        images_NcHW = self._split.images_NcHW
        assert images_NcHW is not None
        images_BcHW = torch.from_numpy(images_NcHW[self._split.rows_M[positions_B.numpy()]])
        return images_BcHW.pin_memory() if self._device.type == "cuda" else images_BcHW


class FeatureInputs:
    """Features (B, D), rows of one tensor that is on the device already."""

    def __init__(self, features_MD: Tensor, mirrored_features_MD: Tensor | None = None) -> None:
        """Keep the features of a split.

        Args:
            features_MD: float32, of each row.
            mirrored_features_MD: of each row's mirrored image; None if rows are never mirrored.
        """
        self.features_MD, self.mirrored_features_MD = features_MD, mirrored_features_MD

    def batches(
        self, positions: Sequence[Tensor], mirrored_M: Tensor | None = None, changed: Changed | None = None
    ) -> Iterator[Tensor]:
        """As `Inputs` says."""
        for positions_B in positions:
            on_device_B = sent(positions_B, self.features_MD.device)
            features_BD = self.features_MD[on_device_B]
            if self.mirrored_features_MD is not None and mirrored_M is not None:
                flip_B = sent(mirrored_M[positions_B], self.features_MD.device).view(-1, 1)
                features_BD = torch.where(flip_B, self.mirrored_features_MD[on_device_B], features_BD)
            yield features_BD


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from the CPU to a device without waiting for the device's queued work."""
    # Only a copy from pinned memory is asynchronous.
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def one_ahead(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Results in order; a thread computes each while the caller uses the one before."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="fetch") as executor:
        try:
            next_result = executor.submit(work, items[0]) if items else None
            for item in items[1:]:
                assert next_result is not None
                result, next_result = next_result.result(), executor.submit(work, item)
                yield result
            if next_result is not None:
                yield next_result.result()
        finally:
            executor.shutdown(cancel_futures=True)
