"""Learning by epoch: validation mAP, memorization of false negatives, precision and recall of distrust."""

from __future__ import annotations

import altair as alt
import pandas as pd

from wsml_study.record.trial_history import TrialState
from wsml_study.report.figures.figure import Drawing, Figure, Key, LeftOut, Panel, table_rows
from wsml_study.report.figures.look import GRAY, INK, MAGENTA, QUIET, keys_of, method_color, method_dash
from wsml_study.report.figures.parts import (
    CROSS_OUT,
    epoch_axis,
    epoch_tooltip,
    log_ticks,
    sample,
    value_axis,
)
from wsml_study.results.confirmation import BASELINE
from wsml_study.results.study_results import StudyRecord

MOST_CURVES = 60
MOST_METHODS = 6
NO_VALUES = "No trial has a validation mAP yet."
LOSSES = {
    "loss_true_positive": "true positives",
    "loss_true_negative": "true negatives",
    "loss_false_negative": "false negatives",
}
LOSS_LOOKS = {"true positives": (INK, ()), "true negatives": (GRAY, (5, 3)), "false negatives": (MAGENTA, ())}
"""Color and dash."""

END_SHAPES = {TrialState.STOPPED.value: CROSS_OUT, TrialState.FAILED.value: "triangle-down"}
END_KEYS = {
    TrialState.STOPPED: Key(label="stopped early", color=QUIET, shape="cross-out"),
    TrialState.FAILED: Key(label="failed", color=QUIET, shape="triangle-down"),
}
CURVES_HEIGHT = 380


def learning_curves(record: StudyRecord) -> Figure | LeftOut:
    """Validation mAP by epoch, a line per trial, stopped and failed trials marked where they ended."""
    name, title = "learning_curves", "Learning curves"
    begun = record.trials.dropna(subset=["value"])
    if begun.empty:
        return LeftOut(name=name, title=title, why=NO_VALUES)
    chosen = sample(begun, MOST_CURVES)
    curves = record.epochs[record.epochs["trial"].isin(chosen["trial"])].dropna(subset=["val_map"])
    ends = curves.merge(chosen[["trial", "last_epoch", "state"]], on="trial").query("epoch == last_epoch")
    counts = record.counts
    low, high = _limits(ends["val_map"], curves["val_map"])
    caption = (
        f"{counts[TrialState.STOPPED]} of {len(record.trials)} trials were stopped early, which a cross marks; "
        f"{counts[TrialState.FAILED] or 'none'} failed."
    )
    if curves["val_map"].min() < low:
        caption += f" The first epochs, below {low:.0f} %, are cut off, to show where the curves separate."
    if len(chosen) < len(begun):
        caption += f" Drawn are {len(chosen)} of {len(begun)}: the best of each method, and the others evenly by rank."
    methods = [method for method in record.methods if method in set(chosen["method"])]
    marks = [END_KEYS[state] for state in END_KEYS if (ends["state"] == state).any()]
    return Figure(
        name=name,
        title=title,
        caption=caption,
        panels=(Panel(chart=_curves(curves, ends, methods, (low, high))),),
        keys=(*keys_of(methods, "line"), *marks),
        wide=True,
    )


def memorization(record: StudyRecord) -> Figure | LeftOut:
    """Loss of true positives, true negatives and false negatives by epoch, AN beside the best other methods."""
    name, title = "memorization", "Memorization"
    if record.best_trials.empty or record.epochs["loss_false_negative"].isna().all():
        why = "No label is known to be hidden from the methods, so there are no false negatives to memorize."
        return LeftOut(name=name, title=title, why=NO_VALUES if record.best_trials.empty else why)
    best = record.best_trials.set_index("method")
    with_rate = set(record.epochs.dropna(subset=["rejection_rate"])["method"])
    # AN, then the large-loss methods, then the others; within each the best first.
    methods = sorted(best.index, key=lambda method: (method != BASELINE, method not in with_rate))
    shown = methods[:MOST_METHODS]
    of_best = record.epochs[record.epochs["trial"].isin(best.loc[shown, "trial"])]
    losses = of_best.melt(["method", "trial", "label", "epoch"], list(LOSSES), "kind", "loss").replace({"kind": LOSSES})
    losses = losses[losses["loss"] > 0]  # the scale is logarithmic
    limits = (float(losses["loss"].min()), float(losses["loss"].max()))
    last = int(of_best["epoch"].max())
    panels = [
        Panel(title=best.loc[method, "label"], chart=_loss_chart(losses[losses["method"] == method], limits, last))
        for method in shown
    ]
    caption = (
        "Mean cross-entropy of the training labels by what they truly are. Where the false negatives' loss rises and "
        "then falls, the network first predicts the hidden positives and then memorizes the wrong labels; distrusting "
        "them keeps the loss high. The best trial of each method, on one logarithmic scale."
    )
    if len(shown) < len(methods):
        caption += (
            f" {BASELINE} and the large-loss methods come first; {len(methods) - len(shown)} methods are left out."
        )
    keys = (Key(label=label, color=color, mark="line", dash=dash) for label, (color, dash) in LOSS_LOOKS.items())
    return Figure(name=name, title=title, caption=caption, panels=tuple(panels), keys=tuple(keys))


def distrust(record: StudyRecord) -> Figure | LeftOut:
    """Precision and recall of distrust by epoch, for the best trial of each method that distrusts labels."""
    name, title = "distrust", "Which labels the methods distrust"
    best = record.best_trials
    of_best = record.epochs[record.epochs["trial"].isin(best["trial"])].dropna(subset=["distrust_precision"])
    if of_best.empty:
        why = "No method here distrusts individual labels, or their true values are unknown."
        return LeftOut(name=name, title=title, why=NO_VALUES if record.best_trials.empty else why)
    methods = [method for method in best["method"] if method in set(of_best["method"])]
    panels = [
        Panel(title=panel, chart=_share_chart(of_best.dropna(subset=[column]), column, panel.lower(), methods))
        for column, panel in (("distrust_precision", "Precision"), ("distrust_recall", "Recall"))
    ]
    caption = (
        "Precision: the share of the distrusted labels that are false negatives. Recall: the share of the false "
        "negatives that are distrusted. The best trial of each method; an epoch that distrusts nothing has no point."
    )
    return Figure(name=name, title=title, caption=caption, panels=tuple(panels), keys=keys_of(methods, "line"))


def _limits(ends: pd.Series, values: pd.Series) -> tuple[float, float]:
    """Of the axis: from a little below the lowest end of a curve to the highest value."""
    low, high = float(ends.min()), float(values.max())
    margin = 0.25 * (high - low) or 1.0
    return max(low - margin, float(values.min()) - 1.0, 0.0), min(high + 0.2 * margin, 100.0)


def _curves(curves: pd.DataFrame, ends: pd.DataFrame, methods: list[str], limits: tuple[float, float]) -> Drawing:
    tooltip = epoch_tooltip(alt.Tooltip("val_map:Q", title="validation mAP", format=".2f"))
    x, y = epoch_axis(int(curves["epoch"].max())), value_axis("validation mAP (%)", "val_map", *limits)
    columns = ["trial", "method", "label", "epoch", "val_map"]
    lines = (
        alt.Chart(table_rows(curves, columns))
        .mark_line(strokeWidth=1.6, opacity=0.8, clip=True)
        .encode(
            x=x,
            y=y,
            color=method_color(methods),
            strokeDash=method_dash(methods),
            detail="trial:N",
            tooltip=tooltip,
        )
    )
    marked = ends[ends["state"].isin(END_SHAPES)]
    if marked.empty:
        return alt.layer(lines).properties(height=CURVES_HEIGHT)
    shapes = alt.Scale(domain=list(END_SHAPES), range=list(END_SHAPES.values()))
    marks = (
        alt.Chart(table_rows(marked, [*columns, "state"]))
        .mark_point(size=50, strokeWidth=2, opacity=1)
        .encode(
            x=x,
            y=y,
            color=method_color(methods),
            shape=alt.Shape("state:N", scale=shapes, legend=None),
            tooltip=[*tooltip, alt.Tooltip("state:N")],
        )
    )
    return alt.layer(lines, marks).properties(height=CURVES_HEIGHT)


def _loss_chart(losses: pd.DataFrame, limits: tuple[float, float], last: int) -> Drawing:
    labels = list(LOSS_LOOKS)
    colors = alt.Scale(domain=labels, range=[LOSS_LOOKS[label][0] for label in labels])
    dashes = alt.Scale(domain=labels, range=[list(LOSS_LOOKS[label][1]) or [1, 0] for label in labels])
    chart: alt.Chart = (
        alt.Chart(table_rows(losses, ["kind", "loss", "epoch", "label", "trial"]), height=220)
        .mark_line(strokeWidth=2)
        .encode(
            x=epoch_axis(last),
            y=alt.Y(
                "loss:Q",
                title="loss (nats)",
                scale=alt.Scale(type="log", domain=list(limits), nice=False),
                axis=alt.Axis(values=log_ticks(*limits, steps=(1, 3)), format="~g"),
            ),
            color=alt.Color("kind:N", scale=colors, title=None),
            strokeDash=alt.StrokeDash("kind:N", scale=dashes, title=None),
            tooltip=epoch_tooltip(alt.Tooltip("kind:N"), alt.Tooltip("loss:Q", format=".3~g")),
        )
    )
    return chart


def _share_chart(epochs: pd.DataFrame, column: str, title: str, methods: list[str]) -> Drawing:
    chart: alt.Chart = (
        alt.Chart(table_rows(epochs, ["method", "trial", "label", "epoch", column]), height=260)
        .mark_line(strokeWidth=2, point={"size": 30})
        .encode(
            x=epoch_axis(int(epochs["epoch"].max())),
            y=alt.Y(f"{column}:Q", title=f"{title} of distrust", axis=alt.Axis(format=".0%")),
            color=method_color(methods),
            strokeDash=method_dash(methods),
            tooltip=epoch_tooltip(alt.Tooltip(f"{column}:Q", title=title, format=".1%")),
        )
    )
    return chart
