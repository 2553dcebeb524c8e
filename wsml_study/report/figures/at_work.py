"""How many trials of each method were at work over time: what ran when, in a study with many slots or trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from wsml_study.record.trial_history import TrialState
from wsml_study.report.figures.figure import Figure, Key, Panel, rows
from wsml_study.report.figures.look import INK, keys_of, method_color
from wsml_study.results.study_results import StudyRecord
from wsml_study.results.timeline import CUT_SHORT, Attempt, Span, working_time

HOUR, MINUTE = 3600.0, 60.0
LONG_S = 3 * HOUR
"""Runs longer than this are shown in hours instead of minutes."""

BROKEN = (CUT_SHORT, TrialState.FAILED.value)
DOTS = (2, 3)
NUM_SPANS = 100
"""Into how many equal parts the time is divided."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Converts a time to working time since the study's first start, in hours or minutes."""

    runs: tuple[Span, ...]
    unit: str
    unit_s: float

    def __call__(self, time: float) -> float:
        """In units, of seconds since 1970."""
        return working_time(self.runs, time) / self.unit_s


def clock_of(runs: Sequence[Span]) -> Clock:
    """The clock of a study, in hours where it took long."""
    long = working_time(runs, runs[-1].ended) > LONG_S
    return Clock(runs=tuple(runs), unit="hours" if long else "minutes", unit_s=HOUR if long else MINUTE)


def counted(number: float, what: str) -> str:
    """As in `1 run`, `2 runs`."""
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def trials_at_work(record: StudyRecord, clock: Clock, *, name: str, title: str, busy: str) -> Figure:
    """The mean number of trials at work in each of `NUM_SPANS` equal parts of the time, stacked by method.

    Args:
        record: of a study with attempts.
        clock: of its runs.
        name: of the figure.
        title: of the figure.
        busy: sentences of the caption about the slots.
    """
    tries, runs = record.attempts, record.runs
    method_of = dict(zip(record.trials["trial"], record.trials["method"], strict=True))
    by_method: dict[str, list[Attempt]] = {}
    for attempt in tries:
        by_method.setdefault(method_of[attempt.trial], []).append(attempt)
    methods = [method for method in record.methods if method in by_method]
    edges = np.linspace(0, clock(runs[-1].ended), NUM_SPANS + 1)
    means = {method: mean_at_work(by_method[method], clock, edges) for method in methods}
    broken = sum(attempt.outcome in BROKEN for attempt in tries)
    caption = (
        f"How many trials were at work, by method: the mean in each of {NUM_SPANS} equal parts of the time. "
        f"{len(tries):,} starts of {len({attempt.trial for attempt in tries}):,} trials, {counted(len(runs), 'run')}; "
        f"{f'{broken:,}' if broken else 'none'} failed or were cut short. {busy}"
    )
    keys = list(keys_of(methods))
    resumed = [clock(run.started) for run in runs[1:]]
    if resumed:
        keys.append(Key(label="resumed after an interruption", color=INK, mark="line", dash=DOTS, width=1.5))
    chart = _chart(means, edges, resumed, clock)
    return Figure(name=name, title=title, caption=caption, panels=(Panel(chart=chart),), keys=tuple(keys), wide=True)


def mean_at_work(tries: Sequence[Attempt], clock: Clock, edges: np.ndarray) -> np.ndarray:
    """The mean number of attempts that were in progress between each edge and the next.

    Args:
        tries: of any trials.
        clock: that the edges are in units of.
        edges: ascending.
    """
    starts = np.sort([clock(attempt.started) for attempt in tries])
    ends = np.sort([clock(attempt.ended) for attempt in tries])
    width = np.diff(edges)
    busy = np.diff(_time_since(starts, edges) - _time_since(ends, edges))
    means: np.ndarray = np.divide(busy, width, out=np.zeros_like(busy), where=width > 0)
    return means


def _time_since(moments: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """For each edge the total time from the moments before it to it; both ascending."""
    before = np.searchsorted(moments, edges)
    total: np.ndarray = before * edges - np.concatenate([[0.0], np.cumsum(moments)])[before]
    return total


def _chart(
    means: dict[str, np.ndarray], edges: np.ndarray, resumed: list[float], clock: Clock
) -> alt.LayerChart | alt.FacetChart:
    # A part's value is drawn from its beginning on, so that of the last one is repeated at the end.
    points: list[dict[str, Any]] = [
        {"method": method, "place": place, "time": time, "number": number}
        for place, (method, numbers) in enumerate(means.items())
        for time, number in zip(edges, [*numbers, numbers[-1]], strict=True)
    ]
    x = alt.X("time:Q", title=f"{clock.unit} of work", scale=alt.Scale(domain=[0, float(edges[-1])], nice=False))
    area = (
        alt.Chart(rows(points))
        .mark_area(interpolate="step-after", opacity=0.85)
        .encode(
            x=x,
            y=alt.Y("number:Q", title="trials at work", stack="zero"),
            color=method_color(list(means)),
            order=alt.Order("place:Q"),
        )
    )
    rules = alt.Chart(rows({"time": time} for time in resumed)).mark_rule(color=INK, strokeDash=list(DOTS))
    return alt.layer(area, *([rules.encode(x=x)] if resumed else [])).properties(height=260)
