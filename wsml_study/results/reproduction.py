"""Whether a trial that ran again showed the same, number by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wsml_study.record.formats import aligned
from wsml_study.record.history import TrialHistory

MOST_SHOWN = 12
NOT_COMPARED = ("time", "attempt", "train_seconds", "validation_seconds")
"""What an epoch notes of when it ran and how long, not of what it computed."""


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """The epoch in which a number differs most.

    Attributes:
        name: of the number; AP of a class by the class.
        epoch: from 1.
        before, now: what it was; None where there was nothing to tell it from.
    """

    name: str
    epoch: int
    before: float | None
    now: float | None

    @property
    def size(self) -> float:
        """How far apart the two are; infinitely if only one of them is a number."""
        return float("inf") if self.before is None or self.now is None else abs(self.now - self.before)


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A trial beside its second run.

    Attributes:
        trial: its number.
        num_epochs: that both ran.
        missing_epochs: that the second run lacks.
        num_numbers: how many were compared.
        num_different: how many of them differ.
        deviations: the largest of each number that differs, largest first.
        error: why the second run failed.
        warnings: what was different about the second run.
    """

    trial: int
    num_epochs: int
    missing_epochs: int
    num_numbers: int
    num_different: int
    deviations: tuple[Deviation, ...]
    error: str | None
    warnings: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every number of every epoch is the same to the last bit."""
        return not self.deviations and not self.missing_epochs

    def lines(self) -> list[str]:
        """The finding in words, with the largest differences."""
        epochs = f"{self.num_epochs} epoch{'s' if self.num_epochs != 1 else ''}"
        compared = f"trial {self.trial}: {epochs}, {self.num_numbers:,} numbers"
        lines = [f"warning: {warning}" for warning in self.warnings]
        if self.missing_epochs:
            why = f": {self.error}" if self.error else ""
            lines.append(f"trial {self.trial} ended {self.missing_epochs} epochs earlier than before{why}")
        if not self.deviations:
            return [*lines, f"{compared}, all equal to the last bit"]
        shown = self.deviations[:MOST_SHOWN]
        columns = {
            "number": [one.name for one in shown],
            "epoch": [str(one.epoch) for one in shown],
            "before": [_exact(one.before) for one in shown],
            "now": [_exact(one.now) for one in shown],
            "difference": [f"{one.size:.3g}" for one in shown],
        }
        return [*lines, f"{compared}, {self.num_different:,} of them differ; where they do most:", *aligned(columns)]


def compared_trials(
    before: TrialHistory, now: TrialHistory, *, classes: Sequence[str], warnings: Sequence[str] = ()
) -> Reproduction:
    """Compare all that the epochs of two trials computed.

    Args:
        before, now: the trial and its second run, of which no more epochs than the first had count.
        classes: names, in the order of every AP per class.
        warnings: what is known to have been different.
    """
    shared = sorted(before.epochs.keys() & now.epochs.keys())
    pairs = [
        Deviation(name=name, epoch=epoch, before=value, now=again)
        for epoch in shared
        for name, value, again in _numbers(before.epochs[epoch], now.epochs[epoch], classes)
    ]
    different = [pair for pair in pairs if pair.before != pair.now]
    largest: dict[str, Deviation] = {}
    for pair in different:
        if pair.name not in largest or pair.size > largest[pair.name].size:
            largest[pair.name] = pair
    return Reproduction(
        trial=before.number,
        num_epochs=len(shared),
        missing_epochs=len(before.epochs.keys() - now.epochs.keys()),
        num_numbers=len(pairs),
        num_different=len(different),
        deviations=tuple(sorted(largest.values(), key=lambda pair: -pair.size)),
        error=now.error,
        warnings=tuple(warnings),
    )


def environment_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is not the same about two runs' environments, such as `torch: 2.11.0 -> 2.12.0`; their commands aside."""
    old, new = ({**content, **content.get("packages", {})} for content in (before, now))
    keys = [key for key in {**old, **new} if key not in ("command", "packages")]
    return [f"{key}: {_said(old, key)} -> {_said(new, key)}" for key in keys if old.get(key) != new.get(key)]


def _numbers(
    before: Mapping[str, Any], now: Mapping[str, Any], classes: Sequence[str]
) -> Iterator[tuple[str, float | None, float | None]]:
    for name in before:
        if name == "val_ap_C":
            pairs = zip(classes, before[name], now[name], strict=True)
            yield from ((f"AP of {label}", value, again) for label, value, again in pairs)
        elif name not in NOT_COMPARED:
            yield name, before[name], now.get(name)


def _said(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _exact(value: float | None) -> str:
    return "-" if value is None else repr(value)
