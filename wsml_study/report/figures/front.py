"""Two objectives: every trial by both, and the front of those that no other one is better than in both."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import pandas as pd

from wsml_study.report.figures.figure import Figure, LeftOut, Panel, Table, rows
from wsml_study.report.figures.look import INK, keys_of, method_color, method_shape
from wsml_study.report.figures.parts import MOST_POINTS, sample_by_method, sampled_text, value_axis
from wsml_study.results.ranking import the_front
from wsml_study.results.study_results import StudyRecord


def front(record: StudyRecord) -> Figure | LeftOut | None:
    """Every trial's objective over its second objective, those on the front filled in and joined."""
    objective, second = record.study.objective, record.study.objective.second
    if second is None:
        return None
    name, title = "front", f"{objective.label[0].upper()}{objective.label[1:]} and {second.label}: the front"
    valued = record.trials.dropna(subset=["value", "beside"])
    best = the_front(record.trials)
    if best.empty:
        return LeftOut(name=name, title=title, why="It takes a complete trial that misses no constraint.")
    methods = list(valued["method"].drop_duplicates())
    drawn = sample_by_method(valued, MOST_POINTS)
    x = alt.X("beside:Q", title=second.axis, scale=alt.Scale(zero=False, nice=True))
    tooltip = [
        alt.Tooltip("label:N", title="config"),
        alt.Tooltip("trial:Q"),
        alt.Tooltip("value:Q", title=objective.label, format=objective.number_format),
        alt.Tooltip("beside:Q", title=second.label, format=second.number_format),
        alt.Tooltip("missed:N", title="misses"),
    ]
    y = value_axis(objective.axis, "value")
    steps: Literal["step-before", "step-after"] = "step-before" if second.greater_is_better else "step-after"
    on_front = alt.Chart(rows(map(_point, best.to_dict("records"))))
    layers = [
        on_front.mark_line(strokeWidth=1.5, color=INK, strokeOpacity=0.5, interpolate=steps).encode(
            x=x, y=y, order=alt.Order("beside:Q")
        ),
        alt.Chart(rows(map(_point, drawn.to_dict("records"))))
        .mark_point(size=45, opacity=0.6)
        .encode(x=x, y=y, color=method_color(methods), shape=method_shape(methods), tooltip=tooltip),
        on_front.mark_point(filled=True, size=110, opacity=1).encode(
            x=x, y=y, color=method_color(methods), shape=method_shape(methods), tooltip=tooltip
        ),
    ]
    missing = int(valued["missed"].notna().sum())
    caption = (
        "Filled in: trials that no other one is better than in both, or equal in one and better in the other. Each is "
        "of one seed, so the front is optimistic."
        + (f" {missing} trials miss a constraint and cannot be on it." if missing else "")
        + sampled_text(len(drawn), len(valued))
    )
    return Figure(
        name=name,
        title=title,
        caption=caption,
        panels=(Panel(chart=alt.layer(*layers).properties(height=340)),),
        keys=keys_of(methods),
        table=Table(
            head=("trial", "method", "config", objective.axis, second.axis),
            body=tuple(
                (
                    str(row["trial"]),
                    row["method"],
                    row["label"],
                    f"{row['value']:{objective.number_format}}",
                    f"{row['beside']:{second.number_format}}",
                )
                for _, row in best.iterrows()
            ),
        ),
        wide=True,
    )


def _point(trial: dict[Any, Any]) -> dict[str, Any]:
    missed = trial["missed"]
    return {key: trial[key] for key in ("label", "trial", "method", "value", "beside")} | {
        "missed": "nothing" if pd.isna(missed) else missed
    }
