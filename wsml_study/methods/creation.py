"""Creates methods by name from their records."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from wsml_study.methods.catalogue import METHODS, describe, methods_with_schedule, resolved_options
from wsml_study.methods.contract import Method
from wsml_study.methods.schedules import Schedule
from wsml_study.options import Value
from wsml_study.registry import implementation

METHOD_NAMES = tuple(METHODS)
WITH_SCHEDULE = methods_with_schedule()


def create_method(
    name: str,
    *,
    labels_NC: Tensor,
    schedule: Schedule | None = None,
    scores_NC: Tensor | None = None,
    dataset: str | None = None,
    **values: Value | None,
) -> Method:
    """A new method, with nothing learnt or corrected yet.

    Args:
        name: one of METHOD_NAMES. `full` is AN, and means full labels only if its batches carry them.
        labels_NC: int8, the observed states of all training images: +1, -1, 0.
        schedule: epoch -> rejection rate, for the large-loss methods only.
        scores_NC: given scores of all training images in [0, 1], for the methods that take them.
        dataset: takes the papers' defaults for it; None, or one without any, takes the general ones.
        values: options under the keys of the record; None, or absent, stands for the default.

    Raises:
        ValueError: an unknown name, a missing or needless schedule, an option that the method does not take, that is
            out of range or that is missing, missing or needless scores, or labels that the method cannot learn from.
        PluginError: the class of a plug-in's method cannot be imported.
    """
    record = describe(name)
    if record.takes_schedule != (schedule is not None):
        raise ValueError(f"method {name} {'needs a' if record.takes_schedule else 'takes no'} schedule")
    arguments: dict[str, Any] = dict(resolved_options(name, dataset=dataset, given=values))
    if record.takes_scores != (scores_NC is not None):
        raise ValueError(
            f"method {name} {'needs' if record.takes_scores else 'takes no'} scores of the training images"
        )
    if scores_NC is not None:
        arguments["scores_NC"] = scores_NC
    if schedule is not None:
        arguments["schedule"] = schedule
    factory = implementation(record.factory) if isinstance(record.factory, str) else record.factory
    method: Method = factory(labels_NC, **arguments)
    return method
