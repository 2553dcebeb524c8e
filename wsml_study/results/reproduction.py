"""Compares a repeated trial with the original, number by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wsml_study.record.formats import aligned
from wsml_study.record.trial_history import TrialHistory

MOST_SHOWN = 12
NOT_COMPARED = ("time", "attempt", "host", "train_seconds", "validation_seconds", "trained_together")
"""Fields of an epoch that say when and how long it ran, not what it computed."""


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """The largest difference of a number over all epochs.

    Attributes:
        name: of the number, such as `val_map` or `AP of cat`.
        epoch: in which it differs most, from 1.
        before, now: the two values; None if absent.
    """

    name: str
    epoch: int
    before: float | None
    now: float | None

    @property
    def size(self) -> float:
        """Absolute difference; infinite if only one of them is present."""
        return float("inf") if self.before is None or self.now is None else abs(self.now - self.before)


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """Comparison of a trial with its repetition.

    Attributes:
        trial: number of the trial.
        num_epochs: number of epochs that both have.
        missing_epochs: number of epochs that the repetition lacks.
        num_numbers: number of values that were compared.
        num_different: number of values that differ.
        deviations: the largest difference of each number that differs, largest first.
        error: why the repetition failed; None if it did not.
        warnings: known differences of the conditions, such as package versions.
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
        """Whether all numbers of all epochs are bitwise equal."""
        return not self.deviations and not self.missing_epochs

    def lines(self) -> list[str]:
        """The result as text, with a table of the largest differences."""
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
        return [
            *lines,
            f"{compared}, {self.num_different:,} of them differ; the largest differences:",
            *aligned(columns),
        ]


def compared_trials(
    before: TrialHistory, now: TrialHistory, *, classes: Sequence[str], warnings: Sequence[str] = ()
) -> Reproduction:
    """Compare all numbers of all epochs that two trials computed.

    Args:
        before, now: the trial and its repetition; epochs that only the repetition has are ignored.
        classes: names, in the order of lists with an AP per class.
        warnings: known differences of the conditions.
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
    """Differences of two runs' environments, such as `torch: 2.11.0 -> 2.12.0`; commands are not compared."""
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
