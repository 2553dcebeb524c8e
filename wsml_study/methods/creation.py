"""Methods by name: what `catalogue.py` describes, made."""

from __future__ import annotations

import importlib
from typing import Any

from torch import Tensor

from wsml_study.methods.catalogue import METHODS, MethodDescription, Value, describe, hyperparameters
from wsml_study.methods.contract import Method
from wsml_study.methods.schedules import Schedule

METHOD_NAMES = tuple(METHODS)
WITH_SCHEDULE = tuple(name for name, description in METHODS.items() if description.takes_schedule)


def create_method(
    name: str,
    *,
    labels_NC: Tensor,
    schedule: Schedule | None = None,
    dataset: str | None = None,
    **values: Value | None,
) -> Method:
    """A fresh method, without anything learnt or corrected yet.

    Args:
        name: one of METHOD_NAMES. `full` is AN, and means full labels only if its batches carry them.
        labels_NC: int8, the observed states of all training images: +1, -1, 0.
        schedule: epoch -> rejection rate, for the large-loss methods alone.
        dataset: whose defaults of the papers to take; without it, or for any other dataset, the general ones.
        values: hyperparameters under their names in the catalogue; None, or absent, stands for the default.

    Raises:
        ValueError: an unknown name, a missing schedule, one that the method has no use for, a hyperparameter that it
            does not take, that is out of range or that is missing, or labels that the method cannot learn from.
    """
    description = describe(name)
    if description.takes_schedule != (schedule is not None):
        raise ValueError(f"method {name} {'needs a' if description.takes_schedule else 'takes no'} schedule")
    arguments: dict[str, Any] = dict(hyperparameters(name, dataset=dataset, given=values))
    if schedule is not None:
        arguments["schedule"] = schedule
    return _implementation(description)(labels_NC, **arguments)


def _implementation(description: MethodDescription) -> type[Method]:
    module, _, cls = description.implementation.partition(":")
    implementation: type[Method] = getattr(importlib.import_module(f"{__package__}.{module}"), cls)
    return implementation
