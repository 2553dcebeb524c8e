"""Confirmed configs over their seeds, and their differences to the baseline."""

from __future__ import annotations

from collections.abc import Callable

import altair as alt

from wsml_study.record.wording import p_text, spaced
from wsml_study.report.figures.figure import Figure, LeftOut, Panel, Table, rows
from wsml_study.report.figures.look import INK, keys_of, method_color, method_shape
from wsml_study.report.figures.parts import written
from wsml_study.results.confirmation import Confirmation
from wsml_study.results.confirmed_runs import ConfirmedConfig
from wsml_study.results.statistics import Estimate
from wsml_study.results.study_results import StudyRecord

ROW = 46
"""Height of a config's row, in pixels."""

NONE = "–"


def confirmed(record: StudyRecord) -> Figure | LeftOut | None:
    """Test mAP of each confirmed config over its seeds, and how far it is from the baseline."""
    name, title = "confirmed", "Confirmed over fresh seeds"
    found = record.confirmation
    if record.study.factors or record.study.objective.beside is not None:
        return None
    if found is None or not found.configs:
        why = "Nothing is confirmed yet; `wsml-study confirm` trains the best configs again with fresh seeds."
        return LeftOut(name=name, title=title, why=why)
    panels = [Panel(title="Test mAP, a stroke per seed", chart=_means(found))]
    if found.baseline is not None and found.comparisons:
        panels.append(Panel(title=f"Against {found.baseline.called}", chart=_gains(found)))
    methods = list(dict.fromkeys(config.method for config in found.configs))
    return Figure(
        name=name,
        title=title,
        caption=_caption(found),
        panels=tuple(panels),
        keys=keys_of(methods),
        table=_table(found),
    )


def _means(found: Confirmation) -> alt.LayerChart | alt.FacetChart:
    methods = list(dict.fromkeys(config.method for config in found.configs))
    means = [
        {
            "called": config.called,
            "method": config.method,
            "label": spaced(config.described),
            "mean": config.test.mean,
            "low": config.test.low,
            "high": config.test.high,
            "seeds": config.test.count,
        }
        for config in found.configs
    ]
    seeds = [
        {"called": config.called, "method": config.method, "mean": test_map, "seed": seed, "draw": draw}
        for config in found.configs
        for (seed, draw), test_map in config.test_map.items()
    ]
    x = alt.X("mean:Q", title="test mAP (%)", scale=alt.Scale(zero=False, padding=12))
    y = alt.Y("called:N", title=None, sort=[config.called for config in found.configs])
    strokes = (
        alt.Chart(rows(seeds))
        .mark_tick(thickness=1.5, size=18, opacity=0.5)
        .encode(x=x, y=y, color=method_color(methods), tooltip=["called:N", alt.Tooltip("mean:Q"), "seed:Q", "draw:Q"])
    )
    base = alt.Chart(rows(means)).encode(y=y)
    intervals = base.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q"), x2="high:Q", color=method_color(methods))
    points = base.mark_point(filled=True, size=110, opacity=1).encode(
        x=x,
        color=method_color(methods),
        shape=method_shape(methods),
        tooltip=["label:N", "mean:Q", "low:Q", "high:Q", "seeds:Q"],
    )
    numbers = written(base.encode(x=x), alt.Text("mean:Q", format=".2f"), dy=-16, color=INK)
    return alt.layer(strokes, intervals, points, *numbers).properties(height=ROW * len(means))


def _gains(found: Confirmation) -> alt.LayerChart | alt.FacetChart:
    methods = list(dict.fromkeys(config.method for config in found.configs))
    gains = []
    for one in found.comparisons:
        config, gain = one.config, one.points
        text = f"{_signed(gain.mean)}, p {p_text(one.judged.corrected)}"
        about = {"called": config.called, "method": config.method, "label": spaced(config.described), "text": text}
        gains.append(about | {"gain": gain.mean, "low": gain.low, "high": gain.high})
    x = alt.X("gain:Q", title="points of test mAP, seed by seed", scale=alt.Scale(padding=30))
    order = [
        config.called for config in found.configs
    ]  # a row for the baseline as well: both panels have the same rows
    y = alt.Y("called:N", title=None, scale=alt.Scale(domain=order))
    base = alt.Chart(rows(gains)).encode(y=y)
    zero = alt.Chart(rows([{"gain": 0}])).mark_rule(color=INK, opacity=0.7).encode(x=x)
    intervals = base.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q"), x2="high:Q", color=method_color(methods))
    points = base.mark_point(filled=True, size=110, opacity=1).encode(
        x=x, color=method_color(methods), shape=method_shape(methods), tooltip=["label:N", "text:N", "low:Q", "high:Q"]
    )
    numbers = written(base.encode(x=x), "text:N", dy=-16, color=INK)
    return alt.layer(zero, intervals, points, *numbers).properties(height=ROW * len(found.configs))


def _caption(found: Confirmation) -> str:
    caption = (
        "Each config with the same fresh seeds and draws of the hidden labels; the mark is the mean, the line its 95 % "
        f"bootstrap interval over {found.resampled}. Validation mAP puts them in order, so nothing is chosen by the "
        "test images."
    )
    if found.comparisons:
        caption += f" {found.test[0].upper()}{found.test[1:]}. {found.sensitivity}"
    if found.num_ended < found.num_trials:
        caption += f" {found.num_ended} of {found.num_trials} runs have ended."
    if found.num_failed:
        caption += f" {found.num_failed} runs failed and do not count."
    return caption


def _table(found: Confirmation) -> Table:
    baseline = found.baseline
    head = ("config", "trial", "seeds", "validation mAP (%)", "test mAP (%)")
    against = () if baseline is None else (f"against {baseline.called}", "p", "outcome")
    return Table(
        head=(*head, *against),
        body=tuple(
            (
                spaced(config.described),
                str(config.trial),
                str(config.test.count),
                _with_ends(config.validation),
                _with_ends(config.test),
                *(() if baseline is None else _against(found, config)),
            )
            for config in found.configs
        ),
    )


def _against(found: Confirmation, config: ConfirmedConfig) -> tuple[str, str, str]:
    one = found.against(config)
    if one is None:
        return NONE, NONE, NONE
    return _with_ends(one.points, _signed), p_text(one.judged.corrected), one.verdict.value


def _with_ends(found: Estimate, text: Callable[[float], str] = "{:.2f}".format) -> str:
    ends = "" if found.low is None or found.high is None else f" ({text(found.low)} to {text(found.high)})"
    return f"{text(found.mean)}{ends}"


def _signed(points: float) -> str:
    return f"{points:+.2f}".replace("-", "\N{MINUS SIGN}")
