"""One rank with batches of 32 and two ranks with 16 images each, in a real process group, do the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.methods.cases import CASES, create
from tests.methods.ranks import tables_of

PROGRAM = [sys.executable, "-m", "tests.methods.ranks"]
PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    places = [(1, 0), (2, 0), (2, 1)]
    runs = [subprocess.Popen([*PROGRAM, str(size), str(rank), folder], cwd=PROJECT) for size, rank in places]
    assert [run.wait(timeout=300) for run in runs] == [0, 0, 0]
    return {(size, rank): torch.load(folder / f"{size}-{rank}.pt") for size, rank in places}


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_select_the_entries_that_one_selects(results: dict[tuple[int, int], Any], case: str) -> None:
    """Deviation 4: k and the threshold come from the whole global batch."""
    alone, first, second = (results[place][case]["steps"] for place in [(1, 0), (2, 0), (2, 1)])
    for one, half, other_half in zip(alone, first, second, strict=True):
        assert not (half["distrusted_NC"] & other_half["distrusted_NC"]).any()
        assert torch.equal(half["distrusted_NC"] | other_half["distrusted_NC"], one["distrusted_NC"])
    assert any(one["distrusted_NC"].any() for one in alone) == all(one["distrusts"] for one in alone)


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_average_to_the_loss_and_gradient_of_one(results: dict[tuple[int, int], Any], case: str) -> None:
    alone, first, second = (results[place][case]["steps"] for place in [(1, 0), (2, 0), (2, 1)])
    for one, half, other_half in zip(alone, first, second, strict=True):
        for key in ("loss", "gradient_NC"):
            torch.testing.assert_close((half[key] + other_half[key]) / 2, one[key], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_the_state_is_the_same_on_every_rank(results: dict[tuple[int, int], Any], case: str) -> None:
    """To the last bit between ranks; and what one rank has, up to the order in which numbers were added."""
    alone, first, second = (results[place][case]["state"] for place in [(1, 0), (2, 0), (2, 1)])
    assert alone.keys() == first.keys() == second.keys()
    for name, value in alone.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("case", "name"), [("LL-Cp", "corrected_NC"), ("EM+APL", "soft_NC"), ("ROLE", "theta_NC"), ("MIME", "enhanced_NC")]
)
def test_what_is_remembered_of_each_image_has_changed(
    results: dict[tuple[int, int], Any], case: str, name: str
) -> None:
    state = results[1, 0][case]["state"][name]
    assert not torch.equal(state, create(case, tables_of(1).labels_NC).state_dict()[name])


@pytest.mark.parametrize("case", CASES)
def test_the_memorization_of_an_epoch_is_that_of_one_rank(results: dict[tuple[int, int], Any], case: str) -> None:
    alone, first, second = (results[place][case]["memorization"] for place in [(1, 0), (2, 0), (2, 1)])
    assert first == second
    for name, value in alone.items():
        assert first[name] == (value if value is None else pytest.approx(value, rel=1e-9))
