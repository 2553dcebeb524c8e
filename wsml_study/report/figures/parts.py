"""Parts shared by several figures: axes, tooltips, lines at the baseline, samples of trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from wsml_study.report.figures.figure import Key, rows
from wsml_study.report.figures.look import GROUND, INK
from wsml_study.results.confirmation import BASELINE
from wsml_study.results.study_results import StudyRecord
from wsml_study.study.objective_section import Objective

BASELINE_DASH = (4, 4)
CROSS_OUT = "M-1,-1L1,1M1,-1L-1,1"
"""A diagonal cross as an SVG path, for stopped trials."""

MOST_POINTS = 2000
"""Trials that a chart with a mark for each draws; of more it draws a sample."""

FEWEST_OF_METHOD = 20

COLUMNS_OF_TRIAL = ["trial", "method", "value", "state", "label"]


def trial_tooltip(objective: Objective, *more: alt.Tooltip) -> list[alt.Tooltip]:
    """The tooltip of a trial."""
    return [
        alt.Tooltip("label:N", title="config"),
        alt.Tooltip("trial:Q", title="trial"),
        alt.Tooltip("value:Q", title=objective.label, format=objective.number_format),
        alt.Tooltip("state:N", title="state"),
        *more,
    ]


def epoch_tooltip(*more: alt.Tooltip) -> list[alt.Tooltip]:
    """The tooltip of an epoch of a trial."""
    return [
        alt.Tooltip("label:N", title="config"),
        alt.Tooltip("trial:Q", title="trial"),
        alt.Tooltip("epoch:Q", title="epoch"),
        *more,
    ]


def epoch_axis(last: int) -> alt.X:
    """Whole epochs along x, from the first to the last."""
    step = max(1, round(last / 8))
    axis = alt.Axis(format="d", labelFlush=False, values=sorted({1, *range(step, last + 1, step)}), grid=False)
    return alt.X("epoch:Q", title="epoch", axis=axis, scale=alt.Scale(domain=[1, max(last, 2)], nice=False))


def value_axis(title: str, field: str, *limits: float) -> alt.Y:
    """Values along y, between two limits or as the data has it, without the empty room down to zero."""
    scale = alt.Scale(domain=list(limits), nice=False) if limits else alt.Scale(zero=False, padding=8)
    return alt.Y(f"{field}:Q", title=title, scale=scale)


def written(chart: alt.Chart, text: str | alt.Text, **mark: Any) -> list[alt.Chart]:
    """Text at the marks of a chart, with a halo in the background color that keeps it readable over lines."""
    # Two layers: a stroke on the text itself would be drawn over the glyphs.
    halo = chart.mark_text(stroke=GROUND, strokeWidth=4, **mark).encode(text=text)
    return [halo, chart.mark_text(**mark).encode(text=text)]


def log_ticks(low: float, high: float, steps: Sequence[int] = (1, 2, 5)) -> list[float]:
    """Round numbers between two positive ones, so many to a power of ten.

    >>> log_ticks(0.0015, 0.03)
    [0.002, 0.005, 0.01, 0.02]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = (float(f"{step}e{power}") for power in powers for step in steps)
    return [tick for tick in ticks if low <= tick <= high]


def baseline_rule(record: StudyRecord, axis: str) -> list[alt.Chart]:
    """A dashed line at the best trial of AN, across the axis; none without one."""
    if record.baseline is None:
        return []
    chart = alt.Chart(rows([{"at": record.baseline["value"]}])).mark_rule(
        strokeDash=list(BASELINE_DASH), color=INK, opacity=0.7
    )
    return [chart.encode(x="at:Q") if axis == "x" else chart.encode(y="at:Q")]


def baseline_key(record: StudyRecord) -> tuple[Key, ...]:
    """The legend's entry for that line."""
    if record.baseline is None:
        return ()
    return (Key(label=f"best {BASELINE} trial", color=INK, mark="line", dash=BASELINE_DASH, width=1.5),)


def sample(ranked: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many trials: the best of each method, and of the others evenly by rank.

    Args:
        ranked: trials with `method`, best first.
        most: at least one.
    """
    if len(ranked) <= most:
        return ranked
    best = ranked.drop_duplicates("method").head(most)
    others = ranked.drop(index=best.index)
    evenly = np.linspace(0, len(others) - 1, most - len(best)).round().astype(int)
    return pd.concat([best, others.iloc[np.unique(evenly)]]).sort_index()


def sample_by_method(ranked: pd.DataFrame, most: int) -> pd.DataFrame:
    """About so many trials at most: of each method in proportion to its trials, evenly by rank.

    The best and the worst of each method are among them, and at least `FEWEST_OF_METHOD` of a method that has as many.

    Args:
        ranked: trials with `method`, best first.
        most: at least one.
    """
    if len(ranked) <= most:
        return ranked
    parts = []
    for _, trials in ranked.groupby("method", sort=False):
        number = min(len(trials), max(FEWEST_OF_METHOD, round(most * len(trials) / len(ranked))))
        parts.append(trials.iloc[np.linspace(0, len(trials) - 1, number).round().astype(int)])
    return pd.concat(parts).sort_index()


def sampled_text(drawn: int, all_: int) -> str:
    """A sentence of a caption about `sample_by_method`; empty where all trials are drawn."""
    if drawn == all_:
        return ""
    return f" Drawn are {drawn:,} of {all_:,} trials, of each method evenly by rank, its best and its worst included."
