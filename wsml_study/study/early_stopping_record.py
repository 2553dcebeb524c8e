"""What every early stopping rule says of itself, and all of them by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from wsml_study.options import Option, Value
from wsml_study.registry import LAST, Registry, Requirement

Options = Mapping[str, Value | None]


class Rule(Protocol):
    """Decides from trials' objectives after their epochs which of them continue. A larger value is better."""

    def record(self, trial: int, epoch: int, value: float) -> None:
        """Note a trial's objective after an epoch; a repeated epoch replaces itself and all that followed."""

    def goes_on(self, trial: int, epoch: int) -> bool:
        """Whether a trial that was recorded at this epoch may continue."""


@dataclass(frozen=True, kw_only=True)
class EarlyStoppingRecord:
    """What ends trials before their last epoch.

    Attributes:
        name: as `early_stopping.name` has it.
        position: where lists show it.
        title: what it does, in a line.
        create: makes the rule, which knows of no trial yet; a function, or `module:function`, called as
            `create(options, epochs)`. None for what ends no trial.
        first_decision: the option that says after how many epochs it first decides; None where no option does.
        rungs: `rungs(options, epochs)`, for rules that compare trials after certain epochs: those epochs, a list per
            bracket; a function, or `module:function`. None for others.
        describe: `describe(options)` says in a line what it does; None says its name and rungs.
        is_population: trials take over networks of better ones instead of being ended (population based training).
        options: further keys of the section `early_stopping`.
        requires: packages that it needs beyond those that every installation has.
    """

    name: str
    position: int = LAST
    title: str
    create: str | Callable[[Options, int], Rule] | None
    first_decision: str | None = None
    rungs: str | Callable[[Options, int], list[list[int]]] | None = None
    describe: Callable[[Options], str] | None = None
    is_population: bool = False
    options: tuple[Option, ...] = ()
    requires: tuple[Requirement, ...] = ()


EARLY_STOPPING: Registry[EarlyStoppingRecord] = Registry(
    "early stopping rule",
    EarlyStoppingRecord,
    group="wsml_study.early_stopping",
    package="wsml_study.tuning.stopping_rules",
)
"""All early stopping rules by name, in the order in which to show them."""
