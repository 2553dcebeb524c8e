"""Whole trials of methods with state: two ranks with half of each batch do what one rank does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.trial_ranks import CASES, PARTS, RECIPES, few_scenes

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], Any]:
    folder = tmp_path_factory.mktemp("ranks")
    few_scenes(folder)  # so that no process has to wait for another to render them
    places = [(1, 0), (2, 0), (2, 1)]
    command = [sys.executable, "-m", "tests.training.trial_ranks"]
    runs = [subprocess.Popen([*command, str(size), str(rank), folder], cwd=PROJECT) for size, rank in places]
    assert [run.wait(timeout=500) for run in runs] == [0, 0, 0]
    return {(size, rank): torch.load(folder / f"{size}-{rank}.pt") for size, rank in places}


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_like_one_rank(results: dict[tuple[int, int], Any], case: str) -> None:
    alone, first, second = (results[place][case] for place in [(1, 0), (2, 0), (2, 1)])
    assert first["train_loss"] == second["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-4)
    assert first["num_distrusted"] == second["num_distrusted"] == alone["num_distrusted"]
    assert first["distrusted"] == second["distrusted"] == alone["distrusted"]


@pytest.mark.parametrize("case", CASES)
def test_the_method_s_state_is_the_same_on_every_rank(results: dict[tuple[int, int], Any], case: str) -> None:
    alone, first, second = (results[place][case]["state"] for place in [(1, 0), (2, 0), (2, 1)])
    assert alone.keys() == first.keys() == second.keys()
    for key, value in alone.items():
        assert torch.equal(first[key], second[key])
        torch.testing.assert_close(first[key].float(), value.float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", [*RECIPES, *PARTS])
def test_a_recipe_is_the_same_on_two_ranks(results: dict[tuple[int, int], Any], case: str) -> None:
    alone, first, second = (results[place][case] for place in [(1, 0), (2, 0), (2, 1)])
    assert first["train_loss"] == second["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-5)
    assert first["val_map"] == second["val_map"]
    for key, value in alone["weights"].items():
        assert torch.equal(first["weights"][key], second["weights"][key])
        torch.testing.assert_close(first["weights"][key], value, rtol=1e-4, atol=1e-5)
