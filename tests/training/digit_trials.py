"""Configs of short trials on scenes of digits, one for each method."""

from __future__ import annotations

from typing import Any

from wsml_study.methods.catalogue import METHODS
from wsml_study.study.data_section import Data
from wsml_study.study.method_section import Method, MethodName, Schedule
from wsml_study.study.model_section import Model
from wsml_study.study.spec import TrialConfig
from wsml_study.study.training_section import Training


def config_of(name: str, values: dict[str, Any] | None = None, head: str | None = None, **training: Any) -> TrialConfig:
    takes_schedule = METHODS[name].takes_schedule
    return TrialConfig(
        data=Data(dataset="digit_scenes", pseudo_labels="scores.csv" if METHODS[name].takes_scores else None),
        model=Model(head=head),
        method=Method(
            name=MethodName(name), schedule=Schedule(rate_per_epoch=0.05) if takes_schedule else None, **(values or {})
        ),
        training=Training(**({"epochs": 4, "batch_size": 32, "learning_rate": 1e-3} | strong_view(name) | training)),
    )


def strong_view(name: str) -> dict[str, Any]:
    """How images are changed, for a method that compares them with such a view."""
    return {"cutout": 0.3} if METHODS[name].takes_views else {}
