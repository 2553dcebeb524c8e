"""Gain over the baseline in each class, of the confirmed config that the answer is about."""

from __future__ import annotations

import altair as alt
import pandas as pd

from wsml_study.report.figures.figure import Figure, LeftOut, Panel, rows
from wsml_study.report.figures.look import INK, keys_of, method_color, method_shape
from wsml_study.results.against_baseline import AgainstBaseline
from wsml_study.results.confirmation import Confirmation
from wsml_study.results.study_results import StudyRecord

MOST_CLASSES = 40
ROW = 20
"""Height of a class's row, in pixels."""


def confirmed_classes(record: StudyRecord) -> Figure | LeftOut | None:
    """Gain in test AP over the baseline, class by class, with intervals over all that was resampled."""
    name, title = "confirmed_classes", "Confirmed gain by class"
    found = record.confirmation
    if record.study.objective.beside is not None:
        return None
    if found is None or not found.comparisons:
        why = "Nothing is confirmed beside a baseline yet; `wsml-study confirm` trains the best configs again."
        return LeftOut(name=name, title=title, why=why)
    shown = found.against(found.recommended) or found.comparisons[0]
    gains = shown.by_class.sort_values("gain", ascending=False, ignore_index=True)
    if gains.empty:
        return LeftOut(name=name, title=title, why="No class has test labels to compare on.")
    half = MOST_CLASSES // 2
    some = gains if len(gains) <= MOST_CLASSES else pd.concat([gains.head(half), gains.tail(half)])
    return Figure(
        name=name,
        title=title,
        caption=_caption(found, shown, len(some), len(gains)),
        panels=(Panel(chart=_chart(some, shown.config.method)),),
        keys=keys_of([shown.config.method]),
    )


def _chart(gains: pd.DataFrame, method: str) -> alt.LayerChart | alt.FacetChart:
    content = [{str(key): value for key, value in row.items()} | {"method": method} for row in gains.to_dict("records")]
    y = alt.Y("class:N", sort=list(gains["class"]), title=None, axis=alt.Axis(labelLimit=120))
    x = alt.X("gain:Q", title="gain in test AP (points)")
    base = alt.Chart(rows(content)).encode(y=y, color=method_color([method]))
    tooltip = ["class:N", *(alt.Tooltip(f"{name}:Q", format="+.2f") for name in ("gain", "low", "high"))]
    zero = alt.Chart(rows([{"gain": 0}])).mark_rule(color=INK, opacity=0.7).encode(x=x)
    lines = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x=x, shape=method_shape([method]), tooltip=tooltip)
    return alt.layer(zero, lines, points).properties(height=ROW * len(gains))


def _caption(found: Confirmation, shown: AgainstBaseline, num_shown: int, num_classes: int) -> str:
    cut = num_shown < num_classes
    chosen = f" The {num_shown} of {num_classes} classes with the largest gains and losses." if cut else ""
    return (
        f"{shown.config.called} against {shown.baseline.called}, mean over {shown.points.count} seeds, with 95 % "
        f"intervals over {found.resampled}. Each interval is of one class, not corrected for their number: of 20 "
        f"classes in which nothing differs, one lies beside 0.{chosen}"
    )
