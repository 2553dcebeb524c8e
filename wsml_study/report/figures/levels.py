"""Multi-fidelity: each survivor's value on one level against its value on the next."""

from __future__ import annotations

from typing import Any

import altair as alt

from wsml_study.report.figures.figure import Drawing, Figure, Key, LeftOut, Panel, Table, rows
from wsml_study.report.figures.look import INK, keys_of, method_color, method_shape
from wsml_study.report.figures.parts import CROSS_OUT
from wsml_study.results.level_results import LevelAgreement, Survivor
from wsml_study.results.study_results import StudyRecord
from wsml_study.study.objective_section import Objective

NONE = "–"


def level_agreement(record: StudyRecord) -> Figure | LeftOut | None:
    """A dot per survivor: the objective on the lower level along x, on the upper one along y; None without levels."""
    name, title = "levels", "Do cheap levels choose well?"
    if record.levels is None:
        return None
    drawn = [agreement for agreement in record.levels.agreements if _valued(agreement)]
    if not drawn:
        return LeftOut(name=name, title=title, why="No survivor of a level has ended an epoch on the next one yet.")
    survivors = [survivor for agreement in drawn for survivor in _valued(agreement)]
    keys = list(keys_of(list(dict.fromkeys(survivor.method for survivor in survivors))))
    if not all(survivor.whole for survivor in survivors):
        keys.append(Key(label="did not run to its end", color=INK, shape="cross-out"))
    return Figure(
        name=name,
        title=title,
        caption=_caption(record.levels.lines()[len(record.levels.states) :]),
        panels=tuple(
            Panel(title=f"{one.lower} and {one.upper}".capitalize(), chart=_scatter(record.study.objective, one))
            for one in drawn
        ),
        keys=tuple(keys),
        table=_table(drawn),
    )


def _valued(agreement: LevelAgreement) -> list[Survivor]:
    return [survivor for survivor in agreement.survivors if survivor.value is not None]


def _caption(sentences: list[str]) -> str:
    return (
        f"{' '.join(sentences)} Survivors are the best of the lower level and resemble each other, which lowers a "
        "correlation; the values of the others at the higher level are unknown."
    )


def _scatter(objective: Objective, agreement: LevelAgreement) -> Drawing:
    survivors = _valued(agreement)
    methods = list(dict.fromkeys(survivor.method for survivor in survivors))
    dots = [
        {
            "label": one.label,
            "method": one.method,
            "trial": one.trial,
            "value": one.value,
            "lower_trial": one.lower_trial,
            "lower": one.lower_value,
            "state": one.state.value,
            "whole": one.whole,
        }
        for one in survivors
    ]
    scale = alt.Scale(zero=False, padding=12)
    x = alt.X("lower:Q", title=f"{objective.axis}, {agreement.lower}", scale=scale)
    y = alt.Y("value:Q", title=f"{objective.axis}, {agreement.upper}", scale=scale)
    layers = [
        alt.Chart(rows(dots))
        .mark_point(filled=True, size=90, opacity=1)
        .encode(x=x, y=y, color=method_color(methods), shape=method_shape(methods), tooltip=_tooltip(objective))
    ]
    if cut_short := [dot for dot in dots if not dot["whole"]]:
        marks = alt.Chart(rows(cut_short)).mark_point(shape=CROSS_OUT, size=110, strokeWidth=2, color=INK, opacity=1)
        layers.append(marks.encode(x=x, y=y, tooltip=_tooltip(objective)))
    return alt.layer(*layers).properties(height=260)


def _tooltip(objective: Objective) -> list[Any]:
    return [
        alt.Tooltip("label:N", title="config"),
        alt.Tooltip("trial:Q", title="trial"),
        alt.Tooltip("value:Q", title=objective.label, format=objective.number_format),
        alt.Tooltip("state:N", title="state"),
        alt.Tooltip("lower_trial:Q", title="trial below"),
        alt.Tooltip("lower:Q", title=f"{objective.label} there", format=objective.number_format),
    ]


def _table(agreements: list[LevelAgreement]) -> Table:
    return Table(
        head=("levels", "survivors", "ran to the end on both", "Spearman's rho", "Kendall's tau"),
        body=tuple(
            (
                f"{one.lower}, {one.upper}",
                str(len(one.survivors)),
                str(one.count),
                NONE if one.spearman is None else f"{one.spearman:.2f}",
                NONE if one.kendall is None else f"{one.kendall:.2f}",
            )
            for one in agreements
        ),
    )
