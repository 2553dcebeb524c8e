"""Options of an extensible thing: keys that a section of the study file takes for it, with limits and defaults.

A method, sampler, early stopping rule, reader, backbone or metric lists its options in its record. The fields of the
study file's section, their JSON Schema, the checks of which key goes with which name, and what `wsml-study methods`
prints derive from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from wsml_study.errors import PluginError

Value = bool | int | float | str

SAME_DEFAULTS = MappingProxyType({"voc2007": "voc2012", "coco2017": "coco2014"})
"""Datasets that take another's defaults: the same classes, photographed alike."""


class Kind(StrEnum):
    """What a value is."""

    NUMBER = "number"
    WHOLE = "whole number"
    CHOICE = "choice"
    FLAG = "true or false"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What values an option takes.

    Attributes:
        kind: what a value is.
        least: the smallest number; None for no bound.
        most: the largest number; None for no bound.
        without_least: the smallest number itself is not allowed.
        without_most: the largest number itself is not allowed.
        choices: the texts that a choice is one of -> what each means, or nothing.
    """

    kind: Kind = Kind.NUMBER
    least: float | None = 0.0
    most: float | None = None
    without_least: bool = False
    without_most: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.kind is Kind.CHOICE:
            return f"one of {', '.join(self.choices)}"
        if self.kind in (Kind.FLAG, Kind.TEXT):
            return "true or false" if self.kind is Kind.FLAG else "a text"
        noun = "a whole number" if self.kind is Kind.WHOLE else "a number"
        low = None if self.least is None else f"{self.least:g}"
        high = None if self.most is None else f"{'below ' if self.without_most else ''}{self.most:g}"
        if low is None or high is None:
            above = "" if low is None else f" {'above' if self.without_least else 'of at least'} {low}"
            return f"{noun}{above}{'' if high is None else f' up to {high}'}"
        return f"{noun} {'above' if self.without_least else 'from'} {low} to {high}"

    def allow(self, value: object) -> bool:
        """Whether the value is within the limits."""
        match self.kind:
            case Kind.CHOICE:
                return value in self.choices
            case Kind.FLAG:
                return isinstance(value, bool)
            case Kind.TEXT:
                return isinstance(value, str)
        if isinstance(value, bool) or not isinstance(value, int if self.kind is Kind.WHOLE else int | float):
            return False
        above = self.least is None or (value > self.least if self.without_least else value >= self.least)
        below = self.most is None or (value < self.most if self.without_most else value <= self.most)
        return above and below


AT_LEAST_0 = Limits()
FRACTION = Limits(most=1)
COUNT = Limits(kind=Kind.WHOLE, least=1)
COUNT_OR_0 = Limits(kind=Kind.WHOLE)
FLAG = Limits(kind=Kind.FLAG)
TEXT = Limits(kind=Kind.TEXT)


def one_of(*choices: str, **explained: str) -> Limits:
    """Limits of a choice among texts; keyword arguments also say what each means."""
    return Limits(kind=Kind.CHOICE, choices=MappingProxyType(dict.fromkeys(choices, "") | explained))


@dataclass(frozen=True, kw_only=True)
class Option:
    """A key of a study file's section, as one record takes it.

    Attributes:
        key: its name in the section.
        meaning: what it is, without a full stop.
        limits: which values it takes; the same for every record of the section that has the key.
        default: the value where nothing is given, and the dataset has none of its own; None where it has to be given,
            or is computed.
        symbol: its name in the paper.
        by_dataset: the paper's values for its datasets, where they differ.
        computed: how the default is computed, where it is; empty elsewhere.
        search: a search entry worth trying, as YAML; empty where there is nothing to search.
    """

    key: str
    meaning: str
    limits: Limits
    default: Value | None = None
    symbol: str = ""
    by_dataset: Mapping[str, Value] = field(default_factory=dict)
    computed: str = ""
    search: str = ""

    def default_for(self, dataset: str | None) -> Value | None:
        """The default for a dataset; None where it has to be given, or is computed."""
        name = SAME_DEFAULTS.get(dataset or "", dataset or "")
        return self.by_dataset.get(name, self.default)

    @property
    def default_in_words(self) -> str:
        """The default, in parentheses with a space in front of them; nothing where there is none."""
        if self.by_dataset:
            return " (default by dataset)"
        default = self.computed or self.default
        if default is None:
            return ""
        return f" (default {default:g})" if isinstance(default, float) else f" (default {default})"


class WithOptions(Protocol):
    """A record that has options."""

    @property
    def name(self) -> str:
        """As study files have it."""

    @property
    def options(self) -> tuple[Option, ...]:
        """What it takes."""


def limits_by_key(records: Iterable[WithOptions]) -> dict[str, Limits]:
    """Every key that some record takes -> its limits.

    Raises:
        PluginError: two records take a key within different limits.
    """
    limits: dict[str, Limits] = {}
    for record in records:
        for option in record.options:
            known = limits.setdefault(option.key, option.limits)
            if known != option.limits:
                raise PluginError(
                    f"{record.name}: its option {option.key} takes {option.limits}, and another's takes {known}; "
                    f"give it another name"
                )
    return limits


def takers(key: str, records: Iterable[WithOptions]) -> tuple[str, ...]:
    """Names of the records that take a key."""
    return tuple(record.name for record in records if any(option.key == key for option in record.options))


def explain_key(key: str, records: Iterable[WithOptions]) -> str:
    """What the records that take a key make of it, and their general defaults, as a sentence."""
    by_meaning: dict[str, list[str]] = {}
    for record in records:
        for option in record.options:
            if option.key == key:
                by_meaning.setdefault(f"{option.meaning}{option.default_in_words}", []).append(record.name)
    return "; ".join(f"{', '.join(names)}: {meaning}" for meaning, names in by_meaning.items()) + "."
