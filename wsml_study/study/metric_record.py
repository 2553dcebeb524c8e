"""The record of an epoch metric, and the registry of all of them. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wsml_study.options import Option
from wsml_study.registry import LAST, Registry, Requirement


@dataclass(frozen=True, kw_only=True)
class MetricRecord:
    """A metric of the validation scores of an epoch, by which trials can be compared.

    Attributes:
        name: `objective.metric` is `best_val_<name>` or `last_val_<name>`.
        position: place in lists, ascending.
        title: one-line description.
        label: its name in figures and tables.
        compute: a function, or `module:function`: scores (M, C), label states (M, C) and the options as keywords -> the
            metric, NaN where nothing is annotated.
        greater_is_better: whether the objective is to be maximized.
        percent: whether it is in percent; otherwise it has no unit.
        over_classes: whether it is a mean over classes; it is given only those that count, as `objective.classes` says.
        options: further keys of the section `objective`.
        requires: packages needed beyond the dependencies of wsml-study.
    """

    name: str
    position: int = LAST
    title: str
    label: str
    compute: str | Callable[..., float]
    greater_is_better: bool = True
    percent: bool = False
    over_classes: bool = False
    options: tuple[Option, ...] = ()
    requires: tuple[Requirement, ...] = ()


METRICS: Registry[MetricRecord] = Registry(
    "epoch metric", MetricRecord, group="wsml_study.metrics", package="wsml_study.training", suffix="_entry"
)
"""Name -> record of all epoch metrics, in display order."""
