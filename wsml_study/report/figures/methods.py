"""Methods side by side: their trials, their gain over AN, their AP per class."""

from __future__ import annotations

import altair as alt
import pandas as pd

from wsml_study.record.trial_history import TrialState
from wsml_study.report.figures.figure import Figure, LeftOut, Panel, rows, table_rows
from wsml_study.report.figures.look import FAINT, INK, keys_of, method_color, method_shape
from wsml_study.report.figures.parts import (
    COLUMNS_OF_TRIAL,
    MOST_POINTS,
    baseline_key,
    baseline_rule,
    sample_by_method,
    sampled_text,
    trial_tooltip,
    written,
)
from wsml_study.results.confirmation import BASELINE
from wsml_study.results.gain import LEVEL, ap_by_class, gain
from wsml_study.results.study_results import StudyRecord

MOST_CLASSES = 40
ROW = 42
"""Height of a row of a chart with names on its y axis, in pixels."""


def trials_by_method(record: StudyRecord) -> Figure | LeftOut:
    """Every trial's objective, a row per method, the best marked."""
    name, title = "trials_by_method", "Every trial, by method"
    valued = record.trials.dropna(subset=["value"])
    if valued.empty:
        return LeftOut(name=name, title=title, why=f"No trial has a {record.study.objective.label} yet.")
    order = list(valued["method"].drop_duplicates())
    y = alt.Y("method:N", sort=order, title=None)
    x = alt.X("value:Q", title=record.study.objective.axis, scale=alt.Scale(zero=False, nice=True))
    drawn = sample_by_method(valued, MOST_POINTS)
    every = (
        alt.Chart(table_rows(drawn, COLUMNS_OF_TRIAL))
        .mark_tick(thickness=2, size=16, opacity=0.55)
        .encode(x=x, y=y, color=method_color(order), tooltip=trial_tooltip(record.study.objective))
    )
    best = alt.Chart(table_rows(record.best_trials, COLUMNS_OF_TRIAL)).encode(x=x, y=y)
    points = best.mark_point(filled=True, size=110, opacity=1).encode(
        color=method_color(order), shape=method_shape(order), tooltip=trial_tooltip(record.study.objective)
    )
    values = written(best, alt.Text("value:Q", format=".2f"), dy=-15, color=INK)
    caption = (
        "One stroke per trial, the best of each method filled in. The best of many trials is optimistic for a method "
        f"that had more: {', '.join(f'{method} {count}' for method, count in valued['method'].value_counts().items())}."
    ) + sampled_text(len(drawn), len(valued))
    chart = alt.layer(*baseline_rule(record, "x"), every, points, *values).properties(height=ROW * len(order))
    keys = (*keys_of(order), *baseline_key(record))
    return Figure(name=name, title=title, caption=caption, panels=(Panel(chart=chart),), keys=keys, wide=True)


def gain_over_baseline(record: StudyRecord) -> Figure | LeftOut:
    """The best trial of each method against the best of AN, with an interval over the classes."""
    name, title = "gain_over_an", f"Apparent gain over {BASELINE} in the search"
    if record.baseline is None:
        return LeftOut(name=name, title=title, why=f"No {BASELINE} trial to compare with: search `method.name`.")
    others = [row for _, row in record.best_trials.iterrows() if row["method"] != BASELINE]
    if not others:
        return LeftOut(name=name, title=title, why=f"{BASELINE} is the only method of this study.")
    baseline = ap_by_class(record.classes, record.baseline["trial"])
    gains = [(row, gain(ap_by_class(record.classes, row["trial"]), baseline)) for row in others]
    found = [
        {
            "method": row["method"],
            "trial": row["trial"],
            "label": row["label"],
            "gain": one.mean,
            "low": one.low,
            "high": one.high,
        }
        for row, one in gains
        if one is not None
    ]
    if not found:
        return LeftOut(name=name, title=title, why="Fewer than two classes have validation labels to compare on.")
    order = [row["method"] for row in found]
    tooltip = [
        alt.Tooltip("label:N", title="config"),
        alt.Tooltip("trial:Q"),
        alt.Tooltip("gain:Q", format="+.2f"),
        alt.Tooltip("low:Q", format="+.2f"),
        alt.Tooltip("high:Q", format="+.2f"),
    ]
    y = alt.Y("method:N", sort=order, title=None)
    base = alt.Chart(rows(found)).encode(y=y, color=method_color(order))
    title_x = "gain (points of validation mAP)"
    bars = base.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q", title=title_x), x2="high:Q")
    points = base.mark_point(filled=True, size=110, opacity=1).encode(
        x="gain:Q", shape=method_shape(order), tooltip=tooltip
    )
    places = alt.Chart(rows(found)).encode(x="gain:Q", y=y)
    values = written(places, alt.Text("gain:Q", format="+.2f"), dy=-14, color=INK)
    zero = alt.Chart(rows([{"at": 0}])).mark_rule(color=INK, opacity=0.7).encode(x="at:Q")
    chart = alt.layer(zero, bars, points, *values).properties(height=ROW * len(order))
    num_classes = next(one.num_classes for _, one in gains if one is not None)
    caption = (
        f"Each method's best trial against the best {BASELINE} trial, one seed each. The line is a {LEVEL:.0%} "
        f"bootstrap interval over the {num_classes} classes: it shows whether many classes share the gain, not "
        "what another seed would change."
    )
    caption += _stopped([record.baseline, *(row for row, one in gains if one is not None)])
    return Figure(name=name, title=title, caption=caption, panels=(Panel(chart=chart),), keys=keys_of(order), wide=True)


def ap_per_class(record: StudyRecord) -> Figure | LeftOut:
    """AP per class of the best trial beside AN's, the largest gain first."""
    name, title = "ap_per_class", f"AP per class against {BASELINE}"
    challengers = record.contenders[record.contenders["method"] != BASELINE]
    if record.baseline is None or challengers.empty:
        return LeftOut(name=name, title=title, why=f"It takes a trial of {BASELINE} and one of another method.")
    best = challengers.iloc[0]
    pair = {
        method: ap_by_class(record.classes, row["trial"])
        for method, row in ((best["method"], best), (BASELINE, record.baseline))
    }
    gains = (pair[best["method"]] - pair[BASELINE]).dropna().sort_values(ascending=False)
    if gains.empty:
        return LeftOut(name=name, title=title, why="No class has validation labels.")
    half = MOST_CLASSES // 2
    shown = list(gains.index) if len(gains) <= MOST_CLASSES else [*gains.index[:half], *gains.index[-half:]]
    ends = [
        {"class": one, "low": pair[BASELINE][one], "high": pair[best["method"]][one], "gain": gains[one]}
        for one in shown
    ]
    points = [
        {"class": one, "method": method, "ap": ap[one], "gain": gains[one]}
        for one in shown
        for method, ap in pair.items()
    ]
    y = alt.Y("class:N", sort=shown, title=None, axis=alt.Axis(labelLimit=120))
    x = alt.X("ap:Q", title="AP on the validation images (%)", scale=alt.Scale(zero=False, nice=True))
    tooltip = [
        alt.Tooltip("class:N"),
        alt.Tooltip("method:N"),
        alt.Tooltip("ap:Q", title="AP", format=".2f"),
        alt.Tooltip("gain:Q", format="+.2f"),
    ]
    lines = alt.Chart(rows(ends)).mark_rule(color=FAINT, strokeWidth=3).encode(x=alt.X("low:Q"), x2="high:Q", y=y)
    marks = (
        alt.Chart(rows(points))
        .mark_point(filled=True, size=80, opacity=1)
        .encode(x=x, y=y, color=method_color(pair), shape=method_shape(pair), tooltip=tooltip)
    )
    chart = alt.layer(lines, marks).properties(height=(20 if len(shown) > 20 else 26) * len(shown))
    better = int((gains > 0).sum())
    caption = (
        f"{best['label']} (trial {best['trial']}) is above {BASELINE} (trial {record.baseline['trial']}) in {better} "
        f"of {len(gains)} classes; the largest gain comes first."
    )
    if len(gains) > MOST_CLASSES:
        caption += f" Drawn are the {half} largest gains and the {half} largest losses; all are in classes.parquet."
    return Figure(name=name, title=title, caption=caption, panels=(Panel(chart=chart),), keys=keys_of(pair), wide=True)


def _stopped(trials: list[pd.Series]) -> str:
    """A note about trials of a comparison that had fewer epochs than the others."""
    stopped = [
        f"{row['method']} after epoch {row['last_epoch']}" for row in trials if row["state"] == TrialState.STOPPED
    ]
    return f" Stopped early, and so at a disadvantage: {', '.join(stopped)}." if stopped else ""
