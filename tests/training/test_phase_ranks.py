"""Heads on features with two ranks, and a head that is followed by everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.small_backbone import small_model, striped_photos

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], Any]:
    folder = tmp_path_factory.mktemp("ranks")
    small_model(folder)
    striped_photos(folder)
    places = [(1, 0), (2, 0), (2, 1)]
    command = [sys.executable, "-m", "tests.training.phase_ranks"]
    runs = [subprocess.Popen([*command, str(size), str(rank), folder], cwd=PROJECT) for size, rank in places]
    assert [run.wait(timeout=500) for run in runs] == [0, 0, 0]
    return {(size, rank): torch.load(folder / f"phases-{size}-{rank}.pt") for size, rank in places}


def test_two_ranks_train_a_linear_probe_like_one_rank(results: dict[tuple[int, int], Any]) -> None:
    alone, first, second = (results[place]["linear"] for place in [(1, 0), (2, 0), (2, 1)])
    assert first["train_loss"] == second["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-5)
    assert first["val_map"] == second["val_map"] == pytest.approx(alone["val_map"], rel=1e-3)
    assert first["num_distrusted"] == second["num_distrusted"] == alone["num_distrusted"]
    for name, parameter in alone["parameters"].items():
        torch.testing.assert_close(first["parameters"][name], parameter, rtol=1e-4, atol=1e-6)


def test_everything_stays_the_same_on_both_ranks_after_the_head(results: dict[tuple[int, int], Any]) -> None:
    """One rank is another computation then: batch normalization sees half a batch on each of two."""
    alone, first, second = (results[place]["linear_init"] for place in [(1, 0), (2, 0), (2, 1)])
    assert first["phases"] == ["linear", "linear", "end_to_end"]
    assert first["train_loss"][:2] == pytest.approx(alone["train_loss"][:2], rel=1e-5)
    assert first["train_loss"] == second["train_loss"]
    assert first["head_epoch"] == second["head_epoch"] == alone["head_epoch"]
    for name, parameter in first["parameters"].items():
        assert torch.equal(second["parameters"][name], parameter)


@pytest.mark.parametrize("mode", ["linear_init", "averaged"])
def test_both_ranks_evaluate_the_network_that_is_kept(results: dict[tuple[int, int], Any], mode: str) -> None:
    """Running statistics included: on CPUs each rank's batch normalization sees its own share of a batch."""
    first, second = (results[2, rank][mode] for rank in (0, 1))
    for kind in ("buffers", "average"):
        for name, tensor in first[kind].items():
            assert torch.equal(second[kind][name], tensor), name
    assert first["buffers"]
    assert bool(first["average"]) is (mode == "averaged")
