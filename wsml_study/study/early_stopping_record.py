"""The record of an early stopping rule, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from wsml_study.options import Option, Value
from wsml_study.registry import LAST, Registry, Requirement

Options = Mapping[str, Value | None]


class Rule(Protocol):
    """Decides after each epoch, from the objectives of all trials, whether a trial continues. Larger is better."""

    def record(self, trial: int, epoch: int, value: float) -> None:
        """Record a trial's objective after an epoch; a repeated epoch replaces the earlier one and all later epochs."""

    def goes_on(self, trial: int, epoch: int) -> bool:
        """Whether a trial continues after this epoch, which must have been recorded."""


@runtime_checkable
class ResumingRule(Rule, Protocol):
    """A rule whose ended trials are only paused: they go on from where they are when the rule says so.

    Both questions are asked again and again, and the answers may depend only on what was recorded. A rule without these
    two methods ends trials for good.
    """

    def to_resume(self, paused: Mapping[int, int]) -> Sequence[int]:
        """Paused trials that should go on, the first one first; asked whenever a slot is free, before a new trial.

        Args:
            paused: numbers of all paused trials -> the epoch after which each is paused.
        """

    def hopeless(self, paused: Mapping[int, int], num_trials: int) -> Collection[int]:
        """Paused trials that `to_resume` cannot name any more, whatever is recorded of other trials; they are ended.

        Args:
            paused: numbers of paused trials -> the epoch after which each is paused.
            num_trials: total number of trials that will be recorded at most, those to come included.
        """


@dataclass(frozen=True, kw_only=True)
class EarlyStoppingRecord:
    """A rule that ends trials before their last epoch.

    Attributes:
        name: value of `early_stopping.name`.
        position: place in lists, ascending.
        title: one-line description.
        create: makes a rule without any recorded trial; a function, or `module:function`, called as
            `create(options, epochs)`. None if no trial is ended. If it makes a `ResumingRule`, trials are paused.
        first_decision: name of the option with the number of epochs before the first decision; None without one.
        rungs: for rules that compare trials after certain epochs, a function `rungs(options, epochs)`, or
            `module:function`, that returns these epochs, one list per bracket. None for other rules.
        describe: `describe(options)` gives a one-line summary; None: name and rungs are shown.
        is_population: population based training: instead of being ended, a trial copies the network of a better one.
        options: further keys of the section `early_stopping`.
        requires: packages needed beyond the dependencies of wsml-study.
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
"""Name -> record of all early stopping rules, in display order."""
