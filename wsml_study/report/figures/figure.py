"""A figure: one or several charts with title, caption, legend and table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

Drawing = alt.Chart | alt.LayerChart | alt.FacetChart
"""A chart, layered or not."""

DIGITS = 8
"""Significant digits of a chart's data: more than any label shows, so that rounding twice changes no label."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """One entry of a figure's legend.

    Attributes:
        label: what it stands for.
        color: `#rrggbb` on a light background.
        mark: "line" or "point".
        dash: of the line, in pixels on and off.
        shape: of the point, one of Vega's names.
        width: of the line, in pixels.
    """

    label: str
    color: str
    mark: str = "point"
    dash: tuple[int, ...] = ()
    shape: str = "circle"
    width: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart of a figure; an empty title if the figure's title is enough."""

    chart: Drawing
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text under a head."""

    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of the report.

    Attributes:
        name: its file's and anchor's.
        title: in a few words.
        caption: what to see, and what was left out.
        panels: side by side where there is room.
        keys: the legend of all panels.
        table: numbers beside it.
        wide: a panel takes the whole width.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    keys: tuple[Key, ...] = ()
    table: Table | None = None
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A figure that the study has no data for, and why."""

    name: str
    title: str
    why: str


def rows(values: Iterable[Mapping[str, Any]]) -> alt.InlineData:
    """Rows as a chart's data: floats rounded to `DIGITS`, values that are not finite as null."""
    return alt.InlineData(values=[{key: _plain(value) for key, value in row.items()} for row in values])


def table_rows(frame: pd.DataFrame, columns: Sequence[str]) -> alt.InlineData:
    """Columns of a table as a chart's data."""
    return rows({str(key): value for key, value in row.items()} for row in frame[list(columns)].to_dict("records"))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    number = float(value)  # NumPy's numbers among them
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) and abs(number) < 1e15 else float(f"{number:.{DIGITS}g}")
