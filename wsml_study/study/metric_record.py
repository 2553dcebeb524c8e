"""What every epoch metric says of itself, and all of them by name; no torch here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wsml_study.options import Option
from wsml_study.registry import LAST, Registry, Requirement


@dataclass(frozen=True, kw_only=True)
class MetricRecord:
    """A number that the validation scores of an epoch give, by which trials can be compared.

    Attributes:
        name: `objective.metric` is `best_val_<name>` or `last_val_<name>`.
        position: where lists show it.
        title: what it is, in a line.
        label: what figures and tables call it.
        compute: a function, or `module:function`: scores (M, C), label states (M, C) and the options as keywords -> the
            metric, NaN where nothing is annotated.
        greater_is_better: whether the objective is to be maximized.
        percent: whether it is in percent; else a plain number.
        options: further keys of the section `objective`.
        requires: packages that it needs beyond those that every installation has.
    """

    name: str
    position: int = LAST
    title: str
    label: str
    compute: str | Callable[..., float]
    greater_is_better: bool = True
    percent: bool = False
    options: tuple[Option, ...] = ()
    requires: tuple[Requirement, ...] = ()


METRICS: Registry[MetricRecord] = Registry(
    "epoch metric", MetricRecord, group="wsml_study.metrics", package="wsml_study.training", suffix="_entry"
)
"""All epoch metrics by name, in the order in which to show them."""
