"""mAP by groups of classes, from those with the fewest training labels to those with the most."""

from __future__ import annotations

from typing import Any

import altair as alt

from wsml_study.record.formats import percent
from wsml_study.report.figures.figure import Figure, LeftOut, Panel, Table, rows
from wsml_study.report.figures.look import keys_of, method_color, method_shape
from wsml_study.report.group_table import published_for
from wsml_study.results.class_groups import EXPLAINED, trial_groups
from wsml_study.results.study_results import StudyRecord
from wsml_study.study.spec import TrialConfig

HEIGHT = 300


def map_by_group(record: StudyRecord) -> Figure | LeftOut | None:
    """mAP of each group of classes, the best trial of each method, beside the published figures."""
    if record.classes["class_group"].isna().all():
        return None
    name, title = "map_by_group", "mAP by groups of classes"
    split = "test" if record.best_trials["test_map"].notna().any() else "validation"
    groups = trial_groups(record.classes, split)
    best = record.best_trials[record.best_trials["trial"].isin(groups.index)]
    if best.empty:
        return LeftOut(name=name, title=title, why="No trial has finished an epoch yet.")
    points: list[dict[str, Any]] = []
    for _, trial in best.iterrows():
        paper = published_for(TrialConfig.model_validate_json(trial["config"]))
        for number, group in enumerate(groups.columns):
            theirs = paper.groups[number] if paper is not None and len(paper.groups) > number else None
            ours = float(groups.loc[trial["trial"], group])
            points.append({"method": trial["method"], "group": group, "map": ours, "published": theirs})
    order = best["method"].tolist()
    return Figure(
        name=name,
        title=title,
        caption=f"Filled: each method's best trial on the {split} images. Hollow: the published figure on the test "
        f"images. {EXPLAINED}.",
        panels=(Panel(chart=_chart(points, order, split)),),
        keys=keys_of(order),
        table=_table(points, order, list(groups.columns)),
        wide=True,
    )


def _chart(points: list[dict[str, Any]], order: list[str], split: str) -> alt.LayerChart | alt.FacetChart:
    base = alt.Chart(rows(points)).encode(
        x=alt.X("group:N", title="group of classes", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("method:N", sort=order),
        color=method_color(order),
        shape=method_shape(order),
        tooltip=["method:N", "group:N", alt.Tooltip("map:Q", format=".2f"), alt.Tooltip("published:Q", format=".1f")],
    )
    scale = alt.Scale(zero=False, nice=True)
    ours = base.mark_point(filled=True, size=90, opacity=1).encode(
        y=alt.Y("map:Q", title=f"{split} mAP (%)", scale=scale)
    )
    theirs = base.mark_point(filled=False, size=90, opacity=1).encode(y=alt.Y("published:Q", scale=scale))
    return alt.layer(ours, theirs.transform_filter("datum.published != null")).properties(height=HEIGHT)


def _table(points: list[dict[str, Any]], order: list[str], groups: list[str]) -> Table:
    """A row per method: ours, then the published figure in parentheses."""
    cells = {
        (point["method"], point["group"]): percent(point["map"])
        + ("" if point["published"] is None else f" ({point['published']:.1f})")
        for point in points
    }
    body = tuple((method, *(cells[method, group] for group in groups)) for method in order)
    return Table(head=("method (published)", *groups), body=body)
