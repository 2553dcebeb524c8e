"""The code of docs/losses.md runs, block after block, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from wsml_study import losses

PAGE = (Path(__file__).parents[1] / "docs" / "losses.md").read_text()


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the blocks leave behind."""
    left: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(block, "docs/losses.md", "exec"), left)
    return left


def test_the_model_ranks_true_labels_first(names: dict[str, Any]) -> None:
    scores, truth = names["model"](names["features"]), names["truth"]
    above = scores[truth][:, None] > scores[~truth][None]
    assert above.float().mean() > 0.9


def test_ll_cp_corrects_what_the_schedule_says(names: dict[str, Any]) -> None:
    """ceil(32 * 6 * .01) = 2 of each of twelve batches and 1 of the last one of 16, in nine epochs."""
    assert names["corrected"].sum() == 9 * (2 * 12 + 1)
    assert not names["corrected"][names["labels"] == 1].any()


def test_role_and_apl_have_learnt(names: dict[str, Any]) -> None:
    estimate = names["role"].method.theta_NC.detach()
    truth, unobserved = names["truth"], names["labels"] == 0
    assert estimate[truth & unobserved].mean() > estimate[~truth].mean() + 0.5
    assert (names["pseudo"].method.soft_NC >= 0).sum() > 1000


def test_the_table_names_every_loss(names: dict[str, Any]) -> None:
    assert all(f"`{name}" in PAGE for name in losses.__all__ if name != "schedule")
    assert isinstance(names["model"], torch.nn.Module)
