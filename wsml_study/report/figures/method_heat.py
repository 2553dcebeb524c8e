"""A heat map of methods at the levels of a design: means with intervals, colored by the gain over AN."""

from __future__ import annotations

from typing import Any

import altair as alt

from wsml_study.report.figures.figure import Drawing, Figure, Panel, Table, rows
from wsml_study.report.figures.look import BLUE, FAINT, GROUND, INK, VERMILION
from wsml_study.results.confirmation import BASELINE
from wsml_study.results.method_grid import GridCell, MethodGrid, method_grid
from wsml_study.results.study_results import StudyRecord

ROW_HEIGHT, COLUMN_WIDTH = 26, 230
MOST_COLORED = 0.9
"""Quantile of the differences from which on all have the darkest color."""

BETTER, WORSE = "▲", "▼"


def method_heat(record: StudyRecord) -> Figure | None:
    """Means of all methods at all levels, for a study whose factors are methods and repeats."""
    grid = method_grid(record.study, record.trials)
    if grid is None or len(grid.methods) < 2:
        return None
    return Figure(
        name="method_heat",
        title="Every method at every level",
        caption=f"{grid.how}. In parentheses 95 % intervals. Blue is better than {BASELINE}, red worse; {BETTER} and "
        f"{WORSE} mark what can be told from it. The upper bound `full` sees all labels and is not compared. "
        + " ".join(grid.sentences()),
        panels=(Panel(chart=_chart(grid)),),
        table=_table(grid),
        wide=True,
    )


def _chart(grid: MethodGrid) -> Drawing:
    cells = [_cell(grid, method, level, cell) for level, some in grid.by_level.items() for method, cell in some.items()]
    gains = sorted(abs(one["gain"]) for one in cells if one["gain"] is not None)
    # A method that fails altogether would leave all others without color.
    most = (gains[int(MOST_COLORED * (len(gains) - 1))] if gains else 0) or 1.0
    base = alt.Chart(rows(cells)).encode(
        x=alt.X(
            "level:N",
            sort=list(grid.by_level),
            title=None,
            axis=alt.Axis(labelAngle=0, orient="top", labelLimit=COLUMN_WIDTH, labelOverlap=False),
        ),
        y=alt.Y("method:N", sort=grid.methods, title=None, axis=alt.Axis(labelLimit=120, labelOverlap=False)),
        tooltip=["method:N", "level:N", alt.Tooltip("text:N", title=grid.quantity), alt.Tooltip("compared:N")],
    )
    heat = base.mark_rect(stroke=FAINT).encode(
        color=alt.condition(
            "datum.gain === null",
            alt.value(GROUND),
            alt.Color(
                "gain:Q",
                title=f"points above {BASELINE}",
                scale=alt.Scale(
                    domain=[-most, 0, most], range=[VERMILION, GROUND, BLUE], interpolate="rgb", clamp=True
                ),
            ),
        ),
        opacity=alt.value(0.55),
    )
    text = base.mark_text(fontSize=12, color=INK).encode(text="text:N")
    return alt.layer(heat, text).properties(
        height=ROW_HEIGHT * len(grid.methods), width=COLUMN_WIDTH * len(grid.by_level)
    )


def _cell(grid: MethodGrid, method: str, level: str, cell: GridCell) -> dict[str, Any]:
    return {
        "method": method,
        "level": level,
        "gain": None if cell.gain is None else cell.gain.mean,
        "text": _text(cell, grid.number_format),
        "compared": _compared(cell, grid.number_format),
    }


def _text(cell: GridCell, form: str) -> str:
    mark = f" {BETTER if cell.gain.mean > 0 else WORSE}" if cell.gain is not None and cell.is_apart else ""
    return f"{_interval(cell.value.mean, cell.value.low, cell.value.high, form)}{mark}"


def _compared(cell: GridCell, form: str) -> str:
    if cell.gain is None or cell.p_value is None:
        return ""
    return f"{_interval(cell.gain.mean, cell.gain.low, cell.gain.high, f'+{form}')}, p {cell.p_value:.2g}"


def _interval(mean: float, low: float | None, high: float | None, form: str) -> str:
    return f"{mean:{form}}" if low is None or high is None else f"{mean:{form}} ({low:{form}} to {high:{form}})"


def _table(grid: MethodGrid) -> Table:
    form = grid.number_format
    return Table(
        head=("method", "level", grid.quantity, f"difference from {BASELINE}"),
        body=tuple(
            (method, level, _text(cell, form), _compared(cell, form))
            for method in grid.methods
            for level, cells in grid.by_level.items()
            if (cell := cells.get(method)) is not None
        ),
    )
