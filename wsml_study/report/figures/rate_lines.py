"""The effect of rate and schedule: mean objective over the rate, a line per method and schedule, beside AN.

Kim et al., CVPR 2022, show it for their three methods over delta_rel, which is the rate per epoch of linear schedules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from wsml_study.methods.schedules import schedule
from wsml_study.record.trial_history import TrialState
from wsml_study.record.wording import spaced
from wsml_study.report.figures.figure import Figure, Key, LeftOut, Panel, rows
from wsml_study.report.figures.look import INK, SHORT, SOLID, keys_of, method_color, method_shape
from wsml_study.report.figures.parts import BASELINE_DASH, log_ticks, value_axis
from wsml_study.results.confirmation import BASELINE
from wsml_study.results.study_results import StudyRecord

MOST_RATES = 10
"""Rates of a line that have a point each; neighbors are joined where there are more."""

MOST_POINTS, TRIALS_PER_POINT = 6, 3
"""Of a line whose neighbors are joined."""

OFFSET = 2.5
"""Pixels between lines at the same rate."""

WIDE_RANGE = 10
"""From this ratio of the largest to the smallest rate on, the axis is logarithmic."""

DASHES = {
    "linear": SOLID,
    "constant": SHORT,
    "capped_linear": (11, 3),
    "cosine": (2, 3),
    "step": (8, 2, 2, 2),
}
"""Shape of the schedule -> dash of its line."""


def rate_effect(record: StudyRecord) -> Figure | LeftOut:
    """Mean objective of the completed trials over their rate, with the range of the trials, and that of AN."""
    name, title = "rate_effect", "Effect of rate and schedule"
    trials = _with_rate(record)
    if trials["rate"].nunique() < 2:
        why = "It takes completed trials of at least two different rejection rates."
        return LeftOut(name=name, title=title, why=why)
    methods = [method for method in record.methods if method in set(trials["method"])]
    shapes = [shape for shape in DASHES if shape in set(trials["shape"])]
    low, high = trials["rate"].min(), trials["rate"].max()
    logarithmic = bool(low > 0 and high / low >= WIDE_RANGE)
    points = [
        point
        for (method, shape), of_line in trials.groupby(["method", "shape"], sort=False)
        for point in _points(str(method), str(shape), of_line)
    ]
    baseline = _baseline(record)
    x = alt.X(
        "rate:Q",
        title="rate per epoch (fraction)" if shapes == ["linear"] else "rejection rate in the last epoch (fraction)",
        scale=alt.Scale(
            type="log" if logarithmic else "linear",
            nice=not logarithmic,
            zero=alt.Undefined if logarithmic else False,
            padding=12,
        ),
        axis=alt.Axis(format="~g", values=log_ticks(low, high)) if logarithmic else alt.Axis(format="~g"),
    )
    layers = [*_baseline_layers(baseline), *_lines(record, points, x, methods, shapes)]
    keys = [*keys_of(methods), *_shape_keys(shapes)]
    if not baseline.empty:
        keys.append(Key(label=f"{BASELINE}, mean", color=INK, mark="line", dash=BASELINE_DASH, width=1.5))
    return Figure(
        name=name,
        title=title,
        caption=_caption(record, trials, points, baseline),
        panels=(Panel(chart=alt.layer(*layers).properties(height=340)),),
        keys=tuple(keys),
        wide=True,
    )


def _with_rate(record: StudyRecord) -> pd.DataFrame:
    """Completed trials with a schedule: method, value, shape of the schedule, and rate to draw them over."""
    complete = record.trials[record.trials["state"] == TrialState.COMPLETE].dropna(subset=["value"])
    found = []
    columns = ("trial", "method", "value", "config")
    for trial, method, value, text in zip(*(complete[key] for key in columns), strict=True):
        config = json.loads(text)
        if (parameters := config["method"].get("schedule")) is not None:
            shape, slope = parameters["shape"], parameters.get("rate_per_epoch")
            about = {"trial": trial, "method": method, "value": value}
            found.append(about | {"shape": shape, "slope": slope, "last": _last_rate(parameters, config)})
    trials = pd.DataFrame(found, columns=["trial", "method", "value", "shape", "slope", "last"])
    return trials.assign(rate=trials["slope" if set(trials["shape"]) == {"linear"} else "last"].astype(float))


def _last_rate(parameters: Mapping[str, Any], config: Mapping[str, Any]) -> float:
    """The rate that a schedule comes to in the last epoch, which shapes have in common."""
    return float(schedule(**parameters)(config["training"]["epochs"]))


def _points(method: str, shape: str, trials: pd.DataFrame) -> list[dict[str, Any]]:
    """A line's points by rate: the mean and the range of the trials of one rate, or of neighboring ones."""
    rates = np.sort(trials["rate"].unique())
    number = len(rates)
    if number > MOST_RATES:
        number = min(MOST_POINTS, max(2, len(trials) // TRIALS_PER_POINT))
    points = []
    for joined in np.array_split(rates, number):
        of_point = trials[trials["rate"].between(joined[0], joined[-1])]
        points.append(
            {
                "method": method,
                "shape": spaced(shape),
                "rate": float(np.median(of_point["rate"])),
                "mean": float(of_point["value"].mean()),
                "low": float(of_point["value"].min()),
                "high": float(of_point["value"].max()),
                "trials": len(of_point),
            }
        )
    return points


def _baseline(record: StudyRecord) -> pd.Series:
    """Values of the completed trials of AN."""
    of_baseline = record.trials[record.trials["method"] == BASELINE]
    values: pd.Series = of_baseline[of_baseline["state"] == TrialState.COMPLETE]["value"].dropna()
    return values


def _baseline_layers(values: pd.Series) -> list[alt.Chart]:
    if values.empty:
        return []
    data = rows([{"mean": values.mean(), "low": values.min(), "high": values.max()}])
    band = alt.Chart(data).mark_rect(color=INK, opacity=0.08).encode(y=alt.Y("low:Q"), y2="high:Q")
    rule = alt.Chart(data).mark_rule(strokeDash=list(BASELINE_DASH), color=INK, opacity=0.7)
    return [band, rule.encode(y=alt.Y("mean:Q"))]


def _lines(
    record: StudyRecord, points: list[dict[str, Any]], x: alt.X, methods: list[str], shapes: list[str]
) -> list[alt.Chart]:
    number = record.study.objective.number_format
    tooltip = [
        alt.Tooltip("method:N"),
        alt.Tooltip("shape:N", title="schedule"),
        alt.Tooltip("rate:Q", format=".3~g"),
        alt.Tooltip("mean:Q", format=number),
        alt.Tooltip("low:Q", title="lowest", format=number),
        alt.Tooltip("high:Q", title="highest", format=number),
        alt.Tooltip("trials:Q"),
    ]
    names = [spaced(shape) for shape in shapes]
    dashes = alt.Scale(domain=names, range=[list(DASHES[shape]) or [1, 0] for shape in shapes])
    dash = alt.StrokeDash("shape:N", scale=dashes, title=None, legend=alt.Undefined if len(shapes) > 1 else None)
    y = value_axis(record.study.objective.axis, "mean")
    lines = list(dict.fromkeys((point["method"], point["shape"]) for point in points))
    layers = []
    for place, line in enumerate(lines):
        # Side by side: lines of a grid search have the same rates, and their strokes would cover each other.
        offset = OFFSET * (place - (len(lines) - 1) / 2)
        of_line = rows(point for point in points if (point["method"], point["shape"]) == line)
        base = alt.Chart(of_line).encode(x=x, color=method_color(methods), tooltip=tooltip)
        layers += [
            base.mark_rule(strokeWidth=2, strokeOpacity=0.45, xOffset=offset).encode(y=alt.Y("low:Q"), y2="high:Q"),
            base.mark_line(strokeWidth=2, xOffset=offset).encode(y=y, strokeDash=dash),
            base.mark_point(filled=True, size=70, opacity=1, xOffset=offset).encode(y=y, shape=method_shape(methods)),
        ]
    return layers


def _shape_keys(shapes: list[str]) -> list[Key]:
    """What the dashes stand for, where there are several."""
    if len(shapes) == 1:
        return []
    return [Key(label=f"{spaced(shape)} schedule", color=INK, mark="line", dash=DASHES[shape]) for shape in shapes]


def _caption(record: StudyRecord, trials: pd.DataFrame, points: list[dict[str, Any]], baseline: pd.Series) -> str:
    caption = (
        f"Mean {record.study.objective.label} of {len(trials)} completed trials; a stroke reaches from the lowest "
        "trial of a point to the highest, and a point without one is a single trial. Points of one rate stand side by "
        "side."
    )
    if len(points) < len(trials.drop_duplicates(["method", "shape", "rate"])):
        caption += f" Of a line with more than {MOST_RATES} rates, neighboring ones are joined, at their median."
    if len(baseline) == 1:
        caption += f" The dashed line is the one completed trial of {BASELINE}."
    elif not baseline.empty:
        caption += f" The dashed line is the mean of {len(baseline)} trials of {BASELINE}, in the band of their range."
    else:
        caption += f" No trial of {BASELINE} has been completed to compare with."
    others = [
        name
        for key, name in record.key_names.items()
        if key != "method.name" and not key.startswith("method.schedule.")
    ]
    if others:
        caption += f" Trials of a point differ in {', '.join(others)} too."
    stopped = record.counts[TrialState.STOPPED]
    if stopped:
        caption += f" {stopped} trials that were stopped early are left out, since they were trained for less."
    return caption
