"""Parallel coordinates: the searched values and the objective of each trial, a line per trial."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt

from wsml_study.description import Scalar
from wsml_study.report.figures.figure import Drawing, Figure, LeftOut, Panel, rows
from wsml_study.report.figures.look import FAINT, INK, QUIET, keys_of, method_color
from wsml_study.report.figures.parts import COLUMNS_OF_TRIAL, sample, trial_tooltip, written
from wsml_study.results.study_results import StudyRecord
from wsml_study.study.objective_section import Objective
from wsml_study.study.search_section import IntRange, Parameter

MOST_LINES = 150
MOST_CHARACTERS = 36
"""Total length of the labels along one axis that fits on a phone."""

STRONG_SHARE, FEWEST_STRONG = 0.1, 3
FEW_POINTS = 200
"""Up to this many points, weaker lines are drawn nearly opaque and stay readable."""

ABSENT = -0.08
"""Position on an axis (0 to 1) of a trial without the key."""

ROW = 84
"""Height of an axis, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: what it is called, where its values lie on it, and which of them are written beside it."""

    title: str
    ticks: tuple[tuple[float, str], ...]
    choices: tuple[Scalar, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    def position(self, value: Any) -> float:
        """From 0 to 1; `ABSENT` for None and NaN."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ABSENT
        if self.choices:
            return _share(self.choices.index(value), 0, len(self.choices) - 1)
        if self.log:
            return _share(math.log(value), math.log(self.low), math.log(self.high))
        return _share(value, self.low, self.high)


def parallel_coordinates(record: StudyRecord) -> Figure | LeftOut:
    """A line per trial over the searched keys down to its objective."""
    name, title = "parallel_coordinates", "Searched values and results"
    valued = record.trials.dropna(subset=["value"])
    searched = {key: one for key, one in record.study.search.items() if one.choice is None or len(one.choice) > 1}
    if not searched or len(valued) < 2:
        return LeftOut(name=name, title=title, why="It takes a searched key and two trials with a value.")
    axes = {key: axis_of(record.key_names[key], parameter) for key, parameter in searched.items()}
    objective = range_axis(record.study.objective.axis, valued["value"].min(), valued["value"].max())
    drawn = sample(valued, MOST_LINES)
    strong = max(FEWEST_STRONG, round(STRONG_SHARE * len(valued)))
    points: list[dict[str, Any]] = []
    for _, trial in drawn.iterrows():
        values = json.loads(trial["values"])
        positions = [
            *(axis.position(values.get(key)) for key, axis in axes.items()),
            objective.position(trial["value"]),
        ]
        about = {column: trial[column] for column in COLUMNS_OF_TRIAL} | {"strong": int(trial["rank"] <= strong)}
        points += [about | {"row": row, "at": at} for row, at in enumerate(positions)]
    methods = list(drawn["method"].drop_duplicates())
    caption = (
        f"Follow a line down to see the values of a trial and its result; the best {strong} of {len(valued)} are drawn "
        "strong. The line of a trial without a key passes left of its axis."
    )
    if len(drawn) < len(valued):
        caption += f" Drawn are {len(drawn)} of them: the best of each method, and the others evenly by rank."
    chart = _chart(record.study.objective, [*axes.values(), objective], points, methods)
    return Figure(
        name=name, title=title, caption=caption, panels=(Panel(chart=chart),), keys=keys_of(methods, "line"), wide=True
    )


def axis_of(title: str, parameter: Parameter) -> Axis:
    """The axis of a searched key."""
    domain = parameter.domain
    if isinstance(domain, tuple):
        labels = [str(value) for value in domain]
        places = [_share(index, 0, len(domain) - 1) for index in range(len(domain))]
        step = math.ceil(sum(len(label) + 2 for label in labels) / MOST_CHARACTERS)
        ticks = list(zip(places, labels, strict=True))[::step]
        return Axis(title=title, ticks=tuple(ticks), choices=domain)
    return range_axis(title, domain.low, domain.high, log=domain.log, whole=isinstance(domain, IntRange))


def range_axis(title: str, low: float, high: float, *, log: bool = False, whole: bool = False) -> Axis:
    """The axis of a range, with its ends and a value near its middle written beside it."""
    axis = Axis(title=title, ticks=(), low=low, high=high, log=log)
    middle = math.sqrt(low * high) if log else (low + high) / 2
    values = sorted({low, float(round(middle)) if whole else middle, high})
    return replace(axis, ticks=tuple((axis.position(value), f"{value:.3g}") for value in values))


def _chart(objective: Objective, axes: Sequence[Axis], points: list[dict[str, Any]], methods: list[str]) -> Drawing:
    x = alt.X("at:Q", scale=alt.Scale(domain=[ABSENT, 1], nice=False, padding=14), axis=None)
    y = alt.Y("row:Q", scale=alt.Scale(domain=[-0.45, len(axes) - 0.5], reverse=True, nice=False), axis=None)
    rules = (
        alt.Chart(rows({"row": row, "at": 0, "end": 1} for row in range(len(axes))))
        .mark_rule(color=FAINT, strokeWidth=2)
        .encode(x=x, x2="end:Q", y=y)
    )
    titles = rows({"row": row, "at": ABSENT, "text": axis.title} for row, axis in enumerate(axes))
    ticks = rows({"row": row, "at": at, "text": text} for row, axis in enumerate(axes) for at, text in axis.ticks)
    texts = [
        *written(
            alt.Chart(titles).encode(x=x, y=y), "text:N", align="left", dy=-17, dx=-8, fontWeight="bold", color=INK
        ),
        *written(alt.Chart(ticks).encode(x=x, y=y), "text:N", dy=15, color=QUIET),
    ]
    faintest = 0.6 if len(points) <= FEW_POINTS else 0.25
    strength = alt.Opacity("strong:Q", scale=alt.Scale(domain=[0, 1], range=[faintest, 0.95]), legend=None)
    widths = alt.StrokeWidth("strong:Q", scale=alt.Scale(domain=[0, 1], range=[1, 2.4]), legend=None)
    lines = (
        alt.Chart(rows(points))
        .mark_line()
        .encode(
            x=x,
            y=y,
            color=method_color(methods),
            detail="trial:N",
            order="row:Q",
            opacity=strength,
            strokeWidth=widths,
            tooltip=trial_tooltip(objective),
        )
    )
    return alt.layer(rules, lines, *texts).properties(height=ROW * len(axes))


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5
