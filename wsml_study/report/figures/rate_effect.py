"""The rejection rate: mAP over the searched rates, and the rate by epoch."""

from __future__ import annotations

import altair as alt
import pandas as pd

from wsml_study.record.trial_history import TrialState
from wsml_study.report.figures.figure import Figure, Key, LeftOut, Panel, rows, table_rows
from wsml_study.report.figures.look import QUIET, keys_of, method_color, method_dash, method_fill, method_shape
from wsml_study.report.figures.parts import (
    COLUMNS_OF_TRIAL,
    MOST_POINTS,
    baseline_key,
    baseline_rule,
    epoch_axis,
    epoch_tooltip,
    log_ticks,
    sample_by_method,
    sampled_text,
    trial_tooltip,
    value_axis,
)
from wsml_study.results.study_results import StudyRecord

RATE_KEYS = ("rate_per_epoch", "final_rate", "rate_per_step")
SCHEDULE = "method.schedule."
MANY = 150
"""From this number of trials on, points are drawn smaller."""


def map_over_rate(record: StudyRecord) -> Figure | LeftOut:
    """mAP over each searched rate, and the ramp of the best trial of each method."""
    name, title = "map_over_rate", "mAP over the rejection rate"
    names = [f"{SCHEDULE}{key}" for key in RATE_KEYS if f"{SCHEDULE}{key}" in record.study.search]
    valued = record.trials.dropna(subset=["value"])
    searched = {key: of_key for key in names if not (of_key := valued.dropna(subset=[key])).empty}
    if not searched:
        return LeftOut(name=name, title=title, why="No rate was searched, or no trial with one has ended an epoch yet.")
    methods = [method for method in record.methods if any(method in set(of["method"]) for of in searched.values())]
    drawn = {key: sample_by_method(of_key, MOST_POINTS) for key, of_key in searched.items()}
    panels = [_scatter(record, key, of_key, methods) for key, of_key in drawn.items()]
    ramp = _ramp(record, methods)
    stopped = Key(label="stopped early", color=QUIET, shape="circle-hollow")
    caption = "Each point is a trial; hollow ones were stopped early and show the value reached by then."
    caption += sampled_text(sum(map(len, drawn.values())), sum(map(len, searched.values())))
    if ramp is not None:
        panels.append(ramp)
        caption += " The ramp is the rate, epoch by epoch, of each method's best trial."
    keys = (*keys_of(methods), stopped, *baseline_key(record))
    return Figure(name=name, title=title, caption=caption, panels=tuple(panels), keys=keys)


def _scatter(record: StudyRecord, key: str, trials: pd.DataFrame, methods: list[str]) -> Panel:
    parameter = record.study.search[key]
    logarithmic = parameter.float is not None and parameter.float.log
    short = record.key_names[key]
    ticks = log_ticks(trials[key].min(), trials[key].max()) if logarithmic else []
    found = rows(
        {
            "rate": row[key],
            "stopped": int(row["state"] != TrialState.COMPLETE),
            **{column: row[column] for column in COLUMNS_OF_TRIAL},
        }
        for _, row in trials.iterrows()
    )
    points = (
        alt.Chart(found)
        .mark_point(size=70 if len(trials) < MANY else 30, strokeWidth=2, opacity=0.85)
        .encode(
            x=alt.X(
                "rate:Q",
                title=f"{short} (fraction)",
                scale=alt.Scale(type="log" if logarithmic else "linear", nice=not logarithmic, padding=8),
                axis=alt.Axis(format="~g", values=ticks) if logarithmic else alt.Axis(format="~g"),
            ),
            y=value_axis(record.study.objective.axis, "value"),
            color=method_color(methods),
            shape=method_shape(methods),
            # `filled` cannot depend on data: hollow points are filled ones with opacity 0.
            fillOpacity=alt.FillOpacity("stopped:Q", scale=alt.Scale(domain=[0, 1], range=[1, 0]), legend=None),
            fill=method_fill(methods),
            tooltip=trial_tooltip(record.study.objective),
        )
    )
    return Panel(title=f"By {short}", chart=alt.layer(points, *baseline_rule(record, "y")).properties(height=280))


def _ramp(record: StudyRecord, methods: list[str]) -> Panel | None:
    best = record.best_trials
    of_best = record.epochs[record.epochs["trial"].isin(best["trial"])].dropna(subset=["rejection_rate"])
    if of_best.empty:
        return None
    columns = ["method", "epoch", "rejection_rate", "label", "trial"]
    chart = (
        alt.Chart(table_rows(of_best, columns))
        .mark_line(point={"size": 30}, strokeWidth=2)
        .encode(
            x=epoch_axis(int(of_best["epoch"].max())),
            y=alt.Y("rejection_rate:Q", title="rejection rate (fraction)", axis=alt.Axis(format="~g")),
            color=method_color(methods),
            strokeDash=method_dash(methods),
            detail="trial:N",
            tooltip=epoch_tooltip(alt.Tooltip("rejection_rate:Q", title="rejection rate", format=".4~g")),
        )
        .properties(height=280)
    )
    return Panel(title="The schedule's ramp", chart=chart)
