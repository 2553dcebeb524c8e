"""Course of the search: best value so far, early stopping, use of the slots."""

from __future__ import annotations

from typing import Any

import altair as alt

from wsml_study.report.figures.at_work import BROKEN, DOTS, HOUR, Clock, clock_of, counted, trials_at_work
from wsml_study.report.figures.figure import Drawing, Figure, Key, LeftOut, Panel, Table, rows
from wsml_study.report.figures.look import BLUE, GROUND, INK, QUIET, VERMILION, keys_of, method_color, method_shape
from wsml_study.report.figures.parts import CROSS_OUT, epoch_axis, trial_tooltip, value_axis
from wsml_study.results.best_so_far import devices_per_trial, improvements
from wsml_study.results.ranking import UPPER_BOUND
from wsml_study.results.rung_agreement import FEWEST_TRIALS, Agreement, rung_agreement
from wsml_study.results.study_results import StudyRecord
from wsml_study.results.timeline import Span, busy_seconds, slots, working_time
from wsml_study.study.objective_section import Objective
from wsml_study.study.search_space import longest_training

MOST_BLOCKS, MOST_SLOTS = 2000, 200
"""Starts and slots that have a block and a row each; of more it is drawn how many trials were at work."""

NO_LOG = "The study's events.jsonl is not there, or no trial has started yet."
SPEARMAN, KENDALL = "Spearman's rho", "Kendall's tau"
MEASURES = {SPEARMAN: (BLUE, ()), KENDALL: (VERMILION, (6, 3))}
"""Color and dash."""


def best_so_far(record: StudyRecord) -> Figure | LeftOut:
    """The best objective so far over working time and over GPU-hours, or CPU-hours without GPUs."""
    name, title = "best_so_far", "Best so far"
    found = improvements(record)
    if not found or not record.events:
        return LeftOut(name=name, title=title, why=NO_LOG)
    runs, tries, devices = record.runs, record.attempts, devices_per_trial(record)
    clock, end = clock_of(runs), runs[-1].ended
    steps = [
        record.trial(one.trial) | {"time": one.seconds / clock.unit_s, "devices": one.device_seconds / HOUR}
        for one in found
    ]
    last = steps[-1] | {"time": clock(end), "devices": devices.number * busy_seconds(tries, end) / HOUR}
    methods = list(dict.fromkeys(str(step["method"]) for step in steps))
    panels = [
        Panel(title=panel, chart=_steps(record.study.objective, steps, [*steps, last], field, axis, methods))
        for panel, field, axis in (
            ("Over time", "time", f"{clock.unit} of work"),
            (f"Over {devices.kind}-hours", "devices", f"{devices.kind}-hours of all trials"),
        )
    ]
    caption = (
        "A point for each trial that ended better than all before it; where the line stays flat, more trials did not "
        f"help. The best came after {steps[-1]['time']:.1f} of {clock(end):.1f} {clock.unit}. Time between an "
        f"interruption and its resumption does not count; a trial holds {counted(devices.number, devices.kind)}."
    )
    if UPPER_BOUND in record.methods:
        caption += f" Trials of {UPPER_BOUND}, which see all labels, are left out."
    return Figure(name=name, title=title, caption=caption, panels=tuple(panels), keys=keys_of(methods))


def rank_agreement(record: StudyRecord) -> Figure | LeftOut:
    """Rank correlation of each epoch's values with the final ones: was it safe to stop trials there?"""
    name, title = "rank_agreement", "Was early stopping safe?"
    found = rung_agreement(record.trials, record.epochs, sign=record.study.objective.sign)
    pairs = [
        {"epoch": one.epoch, "measure": measure, "correlation": value, "finished": one.finished}
        for one in found
        for measure, value in ((SPEARMAN, one.spearman), (KENDALL, one.kendall))
        if value is not None
    ]
    if not pairs:
        why = f"It takes {FEWEST_TRIALS} trials that ran to their end, with values that differ."
        return LeftOut(name=name, title=title, why=why)
    rungs = _rungs(record, found)
    keys = [Key(label=label, color=color, mark="line", dash=dash) for label, (color, dash) in MEASURES.items()]
    if rungs:
        keys.append(Key(label="trials are stopped here", color=QUIET, mark="line", dash=DOTS, width=1.5))
    return Figure(
        name=name,
        title=title,
        caption=_verdict(rungs or found[:1], stops=bool(rungs)),
        panels=(Panel(chart=_correlations(pairs, [one.epoch for one in rungs])),),
        keys=tuple(keys),
        table=_rung_table(rungs),
        wide=True,
    )


def slots_over_time(record: StudyRecord) -> Figure | LeftOut:
    """Which trial ran when, a row per slot."""
    name, title = "slots", "What ran when"
    tries, runs = record.attempts, record.runs
    if not tries:
        return LeftOut(name=name, title=title, why=NO_LOG)
    clock, taken = clock_of(runs), slots(tries)
    num_slots = max(taken) + 1
    working = num_slots * working_time(runs, runs[-1].ended)
    share = busy_seconds(tries, runs[-1].ended) / working if working else 0.0
    busy = f"Trials took {share:.0%} of the slots' time."
    if len(tries) > MOST_BLOCKS or num_slots > MOST_SLOTS:
        return trials_at_work(record, clock, name=name, title=title, busy=f"{busy} There were {num_slots:,} slots.")
    blocks = [
        record.trial(attempt.trial)
        | {
            "attempt": attempt.number,
            "state": attempt.outcome,
            "slot": slot + 1,
            "start": clock(attempt.started),
            "end": clock(attempt.ended),
        }
        for attempt, slot in zip(tries, taken, strict=True)
    ]
    caption = (
        f"A row per slot, a block per start of a trial: {len(tries)} starts of "
        f"{len({attempt.trial for attempt in tries})} trials, {counted(len(runs), 'run')}. {busy}"
    )
    methods = [method for method in record.methods if method in {block["method"] for block in blocks}]
    keys = list(keys_of(methods))
    if any(block["state"] in BROKEN for block in blocks):
        keys.append(Key(label="failed or cut short", color=INK, shape="cross-out"))
    if len(runs) > 1:
        keys.append(Key(label="resumed after an interruption", color=INK, mark="line", dash=DOTS, width=1.5))
    chart = _slot_chart(record.study.objective, blocks, [clock(run.started) for run in runs[1:]], clock, runs, methods)
    return Figure(name=name, title=title, caption=caption, panels=(Panel(chart=chart),), keys=tuple(keys), wide=True)


def _slot_chart(
    objective: Objective,
    blocks: list[dict[str, Any]],
    starts: list[float],
    clock: Clock,
    runs: list[Span],
    methods: list[str],
) -> Drawing:
    domain = alt.Scale(domain=[0, clock(runs[-1].ended)], nice=False)
    x = alt.X("start:Q", title=f"{clock.unit} of work", scale=domain)
    y = alt.Y("slot:O", title="slot", axis=alt.Axis(labelOverlap=True))
    tooltip = trial_tooltip(objective, alt.Tooltip("attempt:Q"))
    bars = (
        alt.Chart(rows(blocks))
        .mark_bar(height=alt.RelativeBandSize(band=0.78), stroke=GROUND, strokeWidth=0.4, cornerRadius=1)
        .encode(x=x, x2="end:Q", y=y, color=method_color(methods), tooltip=tooltip)
    )
    layers = [bars]
    if starts:
        rules = alt.Chart(rows({"start": start} for start in starts)).mark_rule(color=INK, strokeDash=list(DOTS))
        layers.append(rules.encode(x=x))
    if broken := [block for block in blocks if block["state"] in BROKEN]:
        marks = alt.Chart(rows(broken)).mark_point(shape=CROSS_OUT, size=50, strokeWidth=2.5, color=INK, opacity=1)
        layers.append(marks.encode(x=alt.X("end:Q", scale=domain), y=y, tooltip=tooltip))
    num_slots = max(block["slot"] for block in blocks)
    return alt.layer(*layers).properties(height=max(8, min(30, 600 // num_slots)) * num_slots)


def _steps(
    objective: Objective,
    steps: list[dict[str, Any]],
    line: list[dict[str, Any]],
    field: str,
    title: str,
    methods: list[str],
) -> Drawing:
    x, y = alt.X(f"{field}:Q", title=title, scale=alt.Scale(zero=True)), value_axis(objective.axis, "value")
    stairs = alt.Chart(rows(line)).mark_line(interpolate="step-after", strokeWidth=2, color=QUIET).encode(x=x, y=y)
    points = (
        alt.Chart(rows(steps))
        .mark_point(filled=True, size=70, opacity=1)
        .encode(x=x, y=y, color=method_color(methods), shape=method_shape(methods), tooltip=trial_tooltip(objective))
    )
    return alt.layer(stairs, points).properties(height=260)


def _rungs(record: StudyRecord, found: list[Agreement]) -> list[Agreement]:
    """The epochs after which the study stopped trials, or compared them."""
    brackets = record.study.early_stopping.rungs(longest_training(record.study))
    compared = {epoch for rungs in brackets for epoch in rungs}
    return [one for one in found if one.epoch in compared or one.stopped]


def _correlations(pairs: list[dict[str, Any]], rungs: list[int]) -> Drawing:
    colors = alt.Scale(domain=list(MEASURES), range=[color for color, _ in MEASURES.values()])
    dashes = alt.Scale(domain=list(MEASURES), range=[list(dash) or [1, 0] for _, dash in MEASURES.values()])
    x = epoch_axis(max([*rungs, *(pair["epoch"] for pair in pairs)]))
    lines = (
        alt.Chart(rows(pairs))
        .mark_line(strokeWidth=2, point={"size": 36})
        .encode(
            x=x,
            y=alt.Y("correlation:Q", title="rank correlation with the end", scale=alt.Scale(domain=[-1, 1])),
            color=alt.Color("measure:N", title=None, scale=colors),
            strokeDash=alt.StrokeDash("measure:N", title=None, scale=dashes),
            tooltip=["epoch:Q", "measure:N", alt.Tooltip("correlation:Q", format=".2f"), "finished:Q"],
        )
    )
    layers = [lines]
    if rungs:
        rules = alt.Chart(rows({"epoch": epoch} for epoch in rungs)).mark_rule(color=QUIET, strokeDash=list(DOTS))
        layers.insert(0, rules.encode(x=x))
    return alt.layer(*layers).properties(height=260)


def _verdict(rungs: list[Agreement], *, stops: bool) -> str:
    worst = max(rungs, key=lambda one: one.rank_of_best / one.arrived)
    return (
        f"The trial that ended best was number {worst.rank_of_best} of {worst.arrived} after epoch {worst.epoch}"
        + (", where trials were stopped." if stops else "; no trial was stopped early.")
        + f" The correlations are over the {worst.finished} trials that ran to their end: the final values "
        "of the stopped ones are unknown, and survivors resemble each other, which lowers a correlation."
    )


def _rung_table(rungs: list[Agreement]) -> Table | None:
    if not rungs:
        return None
    return Table(
        head=(
            "after epoch",
            "trials there",
            "stopped there",
            "ran to the end",
            SPEARMAN,
            KENDALL,
            "rank of the later best",
        ),
        body=tuple(
            (
                str(one.epoch),
                str(one.arrived),
                str(one.stopped),
                str(one.finished),
                "-" if one.spearman is None else f"{one.spearman:.2f}",
                "-" if one.kendall is None else f"{one.kendall:.2f}",
                str(one.rank_of_best),
            )
            for one in rungs
        ),
    )
