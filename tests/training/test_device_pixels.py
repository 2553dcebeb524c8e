"""Batches that are taken from a copy of all images on the device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.striped_trials import small_data
from wsml_study.training import device_pixels
from wsml_study.training.device_pixels import copied, fits, gpu_shared_by, pixels_on
from wsml_study.training.inputs import ImageInputs

GIB = 2**30


@pytest.mark.parametrize(
    ("gib", "num_trials", "expected"), [(40, 1, True), (41, 1, False), (20, 2, True), (21, 2, False), (0, 8, True)]
)
def test_pixels_take_two_fifths_of_the_free_memory_at_most(gib: int, num_trials: int, expected: bool) -> None:
    assert fits(gib * GIB, free_bytes=100 * GIB, num_trials=num_trials) is expected


def test_batches_from_a_copy_are_those_that_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirrored and changed ones too, of rows that are a part of the store and in another order."""
    monkeypatch.setattr(device_pixels, "BYTES_AT_ONCE", 3000)  # 11 images: the copy is made in parts
    train = small_data(50).train
    split = replace(
        train, rows_M=np.arange(49, 9, -1), truth_MC=train.truth_MC[:40], observed_MC=train.observed_MC[:40]
    )
    device = torch.device("cpu")
    assert split.images_NcHW is not None
    pixels_NcHW = copied(np.asarray(split.images_NcHW), device)
    positions = torch.randperm(40, generator=torch.Generator().manual_seed(0)).split(16)
    mirrored_M = torch.rand(40, generator=torch.Generator().manual_seed(1)) < 0.5
    sent, taken = (
        ImageInputs(split, device, flips=True, pixels_NcHW=pixels).batches(
            positions, mirrored_M, lambda images_BcHW, rows_B: images_BcHW + rows_B[:, None, None, None].to(torch.uint8)
        )
        for pixels in (None, pixels_NcHW)
    )
    for one, other in zip(sent, taken, strict=True):
        assert torch.equal(one, other)


def test_nothing_is_copied_for_a_cpu() -> None:
    images_NcHW = small_data().train.images_NcHW
    assert images_NcHW is not None
    assert pixels_on(torch.device("cpu"), images_NcHW) is None


def test_nothing_is_copied_for_a_trial_that_needs_all_of_the_gpu() -> None:
    images_NcHW = small_data().train.images_NcHW
    assert images_NcHW is not None
    with gpu_shared_by(0):
        assert pixels_on(torch.device("cuda"), images_NcHW) is None
