"""Section `early_stopping`: the rule that ends trials before their last epoch."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from wsml_study.description import Description
from wsml_study.options import Value
from wsml_study.registry import implementation
from wsml_study.study.early_stopping_record import EARLY_STOPPING, EarlyStoppingRecord
from wsml_study.study.option_fields import option_values, with_options


class EarlyStoppingName(StrEnum):
    """Names of early stopping rules, one member per record."""

    vars().update({name.upper(): name for name in EARLY_STOPPING})


@with_options(EARLY_STOPPING)
class EarlyStopping(Description):
    """The rule that ends trials before their last epoch."""

    name: EarlyStoppingName = Field(
        default=EarlyStoppingName("none"),
        strict=False,
        description="; ".join(f"{name}: {record.title}" for name, record in EARLY_STOPPING.items()) + ".",
    )

    @property
    def record(self) -> EarlyStoppingRecord:
        """The rule's record."""
        return EARLY_STOPPING[self.name]

    @property
    def options(self) -> Mapping[str, Value | None]:
        """Every option of the rule, defaults filled in."""
        return option_values(self, self.record)

    @property
    def first_decision_epoch(self) -> int | None:
        """The first epoch after which the rule makes a decision; None for a rule without such an option."""
        key = self.record.first_decision
        return None if key is None else int(self.options[key] or 1)

    def rungs(self, epochs: int) -> list[list[int]]:
        """Epochs below the last one after which trials are compared, one list per bracket; empty for other rules."""
        rungs = self.record.rungs
        if rungs is None:
            return []
        found: list[list[int]] = (implementation(rungs) if isinstance(rungs, str) else rungs)(self.options, epochs)
        return found
