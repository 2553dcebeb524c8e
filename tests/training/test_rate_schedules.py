"""Factors of learning rates are those of torch's schedulers, step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from wsml_study.study.training_section import Training
from wsml_study.training.rate_schedules import momentum_at, rate_factor

STEPS, EPOCHS = 5, 6
LENGTH = {"steps_per_epoch": STEPS, "epochs": EPOCHS}


def by_torch(scheduler: Any, steps: int, **options: Any) -> tuple[list[float], list[float]]:
    """Rates and momenta of a scheduler over a rate of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    schedule = scheduler(optimizer, **options)
    rates, momenta = [], []
    for _ in range(steps):
        [group] = optimizer.param_groups
        rates.append(group["lr"])
        momenta.append(group["momentum"])
        optimizer.step()
        schedule.step()
    return rates, momenta


def factors(**training: Any) -> list[float]:
    return [rate_factor(Training(**training), step, **LENGTH) for step in range(STEPS * EPOCHS)]


def test_one_cycle_is_torch_s_with_its_momentum() -> None:
    rates, momenta = by_torch(lr_scheduler.OneCycleLR, STEPS * EPOCHS, max_lr=1.0, total_steps=STEPS * EPOCHS)
    training = Training(learning_rate_schedule="one_cycle")
    assert factors(learning_rate_schedule="one_cycle") == pytest.approx(rates, rel=1e-9)
    assert [momentum_at(training, step, **LENGTH) for step in range(STEPS * EPOCHS)] == pytest.approx(momenta)
    rates, _ = by_torch(lr_scheduler.OneCycleLR, STEPS * EPOCHS, max_lr=1.0, total_steps=STEPS * EPOCHS, pct_start=0.2)
    assert factors(learning_rate_schedule="one_cycle", one_cycle_peak=0.2) == pytest.approx(rates, rel=1e-9)


def test_cosine_is_torch_s_by_step_and_by_epoch() -> None:
    rates, _ = by_torch(lr_scheduler.CosineAnnealingLR, STEPS * EPOCHS, T_max=STEPS * EPOCHS, eta_min=0.1)
    assert factors(learning_rate_schedule="cosine", learning_rate_final=0.1) == pytest.approx(rates)
    rates, _ = by_torch(lr_scheduler.CosineAnnealingLR, EPOCHS, T_max=EPOCHS)
    found = factors(learning_rate_schedule="cosine", learning_rate_by="epoch")
    assert found == pytest.approx([rate for rate in rates for _ in range(STEPS)])


def test_step_is_torch_s() -> None:
    rates, _ = by_torch(lr_scheduler.StepLR, EPOCHS, step_size=2, gamma=0.3)
    found = factors(learning_rate_schedule="step", epochs_per_decay=2, decay_factor=0.3)
    assert found == pytest.approx([rate for rate in rates for _ in range(STEPS)])


def test_warmup_grows_linearly_to_the_configured_rate() -> None:
    found = factors(learning_rate_warmup=1.6)
    assert found[:9] == pytest.approx([1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 6 / 8, 7 / 8, 1, 1])
    assert set(found[9:]) == {1.0}
    by_epoch = factors(learning_rate_warmup=2, learning_rate_by="epoch")
    assert by_epoch[::STEPS] == [0.5, 1, 1, 1, 1, 1]


def test_a_training_shorter_than_its_warmup_stays_below_the_rate() -> None:
    assert max(factors(learning_rate_schedule="cosine", learning_rate_warmup=10)) == pytest.approx(0.6)
