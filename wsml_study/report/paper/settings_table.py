"""Every key of the studies of a paper, and the configs that their numbers are of, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wsml_study.report.paper.study_columns import Column
from wsml_study.study.spec import Study
from wsml_study.study.writing import flow

NOT_SETTINGS = {"name", "storage", "tracking", "provenance", "retries", "resources"}
"""Sections that decide no number, and where results are kept."""

VARIED = ("search", "factors")


def setting_columns(studies: Sequence[Study]) -> dict[str, list[str]]:
    """A row per dotted key that any study sets, defaults included, a column per study; a dash where one leaves it."""
    settings = {study.name: dict(_settings(study)) for study in studies}
    found = dict.fromkeys(key for one in settings.values() for key in one)
    sections = list(dict.fromkeys(_section(key) for key in found))
    keys = sorted(found, key=lambda key: sections.index(_section(key)))
    return {"key": keys, **{name: [one.get(key, "-") for key in keys] for name, one in settings.items()}}


def config_columns(columns: Sequence[Column]) -> dict[str, list[str]]:
    """The config behind each number of the table: its trial, its searched values, and how many seeds it ran with."""
    rows = [(column, method, cell) for column in columns for method, cell in column.cells.items()]
    return {
        "dataset": [column.heading for column, _, _ in rows],
        "method": [method for _, method, _ in rows],
        "trial": [str(cell.trial) for _, _, cell in rows],
        "searched values": [cell.described for _, _, cell in rows],
        "seeds": [str(cell.mean.count) for _, _, cell in rows],
    }


def _section(key: str) -> str:
    return key.partition(":")[0].partition(".")[0]


def _settings(study: Study) -> Iterator[tuple[str, str]]:
    content = study.model_dump(mode="json", exclude_none=True, exclude={"data": {"root"}})
    for section, values in content.items():
        if section in VARIED:
            yield from ((f"{section}: {key}", flow(value)) for key, value in values.items())
        elif section not in NOT_SETTINGS:
            yield from _leaves(section, values)


def _leaves(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}", inner)
    else:
        yield key, value if isinstance(value, str) else flow(value)
