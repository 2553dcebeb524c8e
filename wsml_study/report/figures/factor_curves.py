"""The objective over a numeric factor, a curve per method: for example over the share of the labels that is observed.

Kim et al., CVPR 2022, and most work on missing labels show it over the share of labels or of positives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from wsml_study.record.wording import short_names, spaced
from wsml_study.report.figures.figure import Drawing, Figure, LeftOut, Panel, Table, rows
from wsml_study.report.figures.look import keys_of, method_color, method_shape
from wsml_study.report.figures.parts import log_ticks, value_axis
from wsml_study.results.factor_means import METHOD, REPEATS, LevelMean, level_means
from wsml_study.results.study_results import StudyRecord

WIDE_RANGE = 10
"""From this ratio of the largest to the smallest level on, the axis is logarithmic."""

OFFSET = 2.5
"""Pixels between curves at the same level."""


def factor_curves(record: StudyRecord) -> Figure | LeftOut | None:
    """Mean objective of each method's best config over the first numeric factor, with its interval over the repeats."""
    study = record.study
    numeric = [key for key, levels in (study.factors or {}).items() if key not in REPEATS and _are_numbers(levels)]
    if not numeric:
        return None
    key, name = numeric[0], "factor_curves"
    title = f"The objective over {spaced(short_names(study.factors or {})[key])}"
    means = level_means(study, record.trials)
    if len({one.levels[key] for one in means}) < 2:
        return LeftOut(name=name, title=title, why="It takes completed trials at two levels at least.")
    methods = list(dict.fromkeys(one.method for one in means))
    others = [other for other in means[0].levels if other != key]
    groups: dict[str, list[LevelMean]] = {}
    for one in means:
        groups.setdefault(", ".join(f"{other} {one.levels[other]}" for other in others), []).append(one)
    return Figure(
        name=name,
        title=title,
        caption=_caption(record, key),
        panels=tuple(Panel(chart=_chart(record, group, key, methods), title=text) for text, group in groups.items()),
        keys=keys_of(methods),
        table=_table(record, means, key, others),
        wide=len(groups) == 1,
    )


def _are_numbers(levels: Sequence[object]) -> bool:
    return len(levels) > 1 and all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels)


def _chart(record: StudyRecord, means: list[LevelMean], key: str, methods: list[str]) -> Drawing:
    levels = sorted({float(one.levels[key]) for one in means})  # type: ignore[arg-type]
    logarithmic = levels[0] > 0 and levels[-1] / levels[0] >= WIDE_RANGE
    x = alt.X(
        "level:Q",
        title=key,
        scale=alt.Scale(
            type="log" if logarithmic else "linear",
            nice=False,
            zero=alt.Undefined if logarithmic else False,
            padding=12,
        ),
        axis=alt.Axis(format="~g", values=log_ticks(levels[0], levels[-1]) if logarithmic else levels),
    )
    number = record.study.objective.number_format
    tooltip = [
        alt.Tooltip("method:N"),
        alt.Tooltip("level:Q", title=key),
        *(alt.Tooltip(f"{field}:Q", format=number) for field in ("mean", "low", "high")),
        alt.Tooltip("n:Q", title="trials"),
    ]
    y = value_axis(record.study.objective.axis, "mean")
    layers = []
    for place, method in enumerate(methods):
        offset = OFFSET * (place - (len(methods) - 1) / 2)
        points = rows(_point(one, key) for one in means if one.method == method)
        base = alt.Chart(points).encode(x=x, color=method_color(methods), tooltip=tooltip)
        layers += [
            base.mark_rule(strokeWidth=2, strokeOpacity=0.45, xOffset=offset).encode(y=alt.Y("low:Q"), y2="high:Q"),
            base.mark_line(strokeWidth=2, xOffset=offset).encode(y=y),
            base.mark_point(filled=True, size=70, opacity=1, xOffset=offset).encode(y=y, shape=method_shape(methods)),
        ]
    return alt.layer(*layers).properties(height=340)


def _point(one: LevelMean, key: str) -> dict[str, Any]:
    value = one.value
    low, high = (value.mean if end is None else end for end in (value.low, value.high))
    return {
        "method": one.method,
        "level": one.levels[key],
        "mean": value.mean,
        "low": low,
        "high": high,
        "n": value.count,
    }


def _table(record: StudyRecord, means: list[LevelMean], key: str, others: list[str]) -> Table:
    number = record.study.objective.number_format
    return Table(
        head=("method", key, *others, record.study.objective.axis, "95 % interval", "trials"),
        body=tuple(
            (
                one.method,
                str(one.levels[key]),
                *(str(one.levels[other]) for other in others),
                f"{one.value.mean:{number}}",
                "" if one.value.low is None else f"{one.value.low:{number}} to {one.value.high:{number}}",
                str(one.value.count),
            )
            for one in means
        ),
    )


def _caption(record: StudyRecord, key: str) -> str:
    factors = record.study.factors or {}
    over = " and ".join(one for one in factors if one in REPEATS)
    spread = f", mean and 95 % interval over {over}" if over else ""
    which = ""
    if record.study.search:
        where = "" if METHOD in factors else ", which the search proposed with it"
        which = (
            f" Of each method its best config by the mean over all levels{where}: the best of several, so optimistic."
        )
    return (
        f"{record.study.objective.label} at the levels of {key}{spread}.{which} Points of one level stand side by side."
    )
