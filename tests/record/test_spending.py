"""What a study has spent, counted from its log."""

from __future__ import annotations

from typing import Any

import pytest

from wsml_study.record.spending import Spending


def spent(*events: dict[str, Any]) -> Spending:
    spending = Spending()
    for event in events:
        spending.apply(event)
    return spending


def at(time: float, event: str, **details: Any) -> dict[str, Any]:
    return {"event": event, "time": time, **details}


def test_the_time_between_two_runs_is_not_spent() -> None:
    spending = spent(at(0, "run"), at(10, "created", trial=0), at(100, "run"), at(130, "created", trial=1))
    assert spending.seconds() == 10 + 30
    assert spending.seconds(now=150) == 10 + 50
    assert spending.of("hours", 150) == pytest.approx(60 / 3600)


def test_a_clock_that_was_set_back_gives_no_time_back() -> None:
    assert spent(at(100, "run"), at(130, "created", trial=0)).seconds(now=50) == 0.0


def test_an_epoch_that_is_repeated_after_a_kill_counts_again() -> None:
    epoch = {"trial": 0, "attempt": 1, "state": "running", "result": {"epoch": 1}}
    assert spent(at(0, "run"), at(1, "epoch", **epoch), at(9, "run"), at(10, "epoch", **epoch)).epochs == 2


def test_gpu_time_is_that_of_slots_at_work() -> None:
    """Trial 0 works 10 s on two GPUs, trial 1 is cut short by a kill after 5 s, goes on for 3 s and is at work."""
    spending = spent(
        at(0, "run"),
        at(10, "attempt", trial=0, gpus=2),
        at(20, "ended", trial=0),
        at(30, "attempt", trial=1, gpus=1),
        at(35, "saved", trial=1),
        at(500, "run"),
        at(510, "attempt", trial=1, gpus=1),
    )
    assert spending.gpu_seconds() == 20 + 5
    assert spending.gpu_seconds(now=513) == 20 + 5 + 3


def test_logs_of_earlier_versions_have_no_gpus() -> None:
    assert spent(at(0, "run"), at(1, "attempt", trial=0), at(9, "ended", trial=0)).gpu_seconds() == 0.0


def test_after_the_search_has_ended_nothing_more_is_spent() -> None:
    spending = spent(at(0, "run"), at(5, "attempt", trial=0, gpus=1), at(20, "search_ended"))
    assert (spending.seconds(now=1000), spending.gpu_seconds(now=1000)) == (20, 15)
