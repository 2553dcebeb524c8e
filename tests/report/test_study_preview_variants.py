"""The number of distrusted labels that `check` announces is the number that the large-loss methods select."""

from __future__ import annotations

import math

import pytest
import torch

from wsml_study.methods.large_loss import Scheme, Variant, large_loss
from wsml_study.methods.large_loss_entry import VARIANTS
from wsml_study.methods.schedules import schedule
from wsml_study.report.study_preview import preview
from wsml_study.study.reading import parse_study

RATE_PER_EPOCH, BATCH_SIZE, NUM_CLASSES = 0.007, 32, 10


@pytest.mark.parametrize("variant", VARIANTS)
def test_k_by_epoch_is_what_a_full_batch_without_ties_selects(variant: str) -> None:
    study = parse_study(
        {
            "name": "s",
            "data": {"dataset": "digit_scenes"},
            "method": {"name": "LL-R", "variant": variant, "schedule": {"rate_per_epoch": RATE_PER_EPOCH}},
            "training": {"epochs": 10, "batch_size": BATCH_SIZE},
        },
        "test",
    )
    (announced,) = preview(study).distrusted
    assert announced.methods == ("LL-R" if variant == "code" else f"LL-R ({variant})",)
    labels_BC = torch.zeros(BATCH_SIZE, NUM_CLASSES, dtype=torch.int8)
    labels_BC[:, 0] = 1  # one observed positive per image, as in the study
    logits_BC = torch.randn(labels_BC.shape, generator=torch.Generator().manual_seed(0))
    course = schedule("linear", warmup_epochs=1, rate_per_epoch=RATE_PER_EPOCH)
    selected = [
        large_loss(logits_BC, labels_BC, scheme=Scheme.REJECTION, rate=course(epoch), variant=Variant(variant))
        for epoch in range(1, 11)
    ]
    # Of `carried` the average is announced; the first batch of an epoch has nothing carried to it.
    assert [math.floor(count) for count in announced.count_by_epoch] == [
        int(one.distrusted_BC.sum()) for one in selected
    ]
