"""Color, shape and dash of each method in all figures; and the configuration that all charts share.

AN and the large-loss methods are distinguishable with any color vision, on light and dark backgrounds. There are more
methods than such colors: those that share a color, or are hard to distinguish, differ in shape and dash.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import altair as alt

from wsml_study.report.figures.figure import Key


@dataclass(frozen=True, kw_only=True)
class Look:
    """A method's look.

    Attributes:
        color: `#rrggbb` on a light background, a key of `ON_DARK`.
        shape: of its points.
        dash: of its lines, in pixels on and off.
    """

    color: str
    shape: str
    dash: tuple[int, ...]


GROUND = "#ffffff"
INK, QUIET, FAINT = "#1f2430", "#5b6472", "#d5d9e0"
GRAY, MAGENTA = "#8a919c", "#b8216f"
BLUE, VERMILION, GREEN, SKY, PURPLE, OCHRE, WINE, TEAL = (
    "#1a6fc4",
    "#c84b00",
    "#00594a",
    "#3a9bdc",
    "#7a5bb5",
    "#9a7200",
    "#8a1c4f",
    "#1f7a8c",
)
ON_DARK = {
    GROUND: "#16191f",
    INK: "#e9ebef",
    QUIET: "#a2a9b5",
    FAINT: "#3a404b",
    GRAY: "#a9b0bc",
    MAGENTA: "#ff7ab8",
    BLUE: "#4b9bea",
    VERMILION: "#ff8a4a",
    GREEN: "#3ddc97",
    SKY: "#8fd0ff",
    PURPLE: "#b79bf0",
    OCHRE: "#e0b83a",
    WINE: "#f07aa8",
    TEAL: "#5fc9db",
}
"""The counterparts of the colors on a dark background."""

SOLID: tuple[int, ...] = ()
SHORT, LONG, DOTTED, DASH_DOT, TINY = (6, 3), (11, 3), (2, 3), (8, 2, 2, 2), (2, 2)
LOOKS = {
    "AN": Look(color=GRAY, shape="square", dash=SHORT),
    "full": Look(color=INK, shape="cross", dash=DOTTED),
    "LL-R": Look(color=BLUE, shape="circle", dash=SOLID),
    "LL-Ct": Look(color=VERMILION, shape="triangle-up", dash=SOLID),
    "LL-Cp": Look(color=GREEN, shape="diamond", dash=SOLID),
    "WAN": Look(color=PURPLE, shape="square", dash=LONG),
    "LSAN": Look(color=OCHRE, shape="square", dash=LONG),
    "EPR": Look(color=TEAL, shape="square", dash=LONG),
    "ROLE": Look(color=WINE, shape="square", dash=LONG),
    "IU": Look(color=SKY, shape="square", dash=LONG),
    "GR": Look(color=SKY, shape="triangle-down", dash=DASH_DOT),
    "EM": Look(color=WINE, shape="diamond", dash=DASH_DOT),
    "EM+APL": Look(color=WINE, shape="triangle-up", dash=TINY),
    "ASL": Look(color=OCHRE, shape="circle", dash=DASH_DOT),
    "Hill": Look(color=OCHRE, shape="diamond", dash=TINY),
    "SPLC": Look(color=PURPLE, shape="triangle-down", dash=DASH_DOT),
    "CSL": Look(color=TEAL, shape="diamond", dash=DASH_DOT),
    "CRISP": Look(color=PURPLE, shape="diamond", dash=TINY),
    "PU-MLC": Look(color=TEAL, shape="triangle-up", dash=TINY),
    "VLPL": Look(color=SKY, shape="diamond", dash=TINY),
    "GPR": Look(color=SKY, shape="triangle-up", dash=DOTTED),
    "PLC": Look(color=WINE, shape="triangle-down", dash=DOTTED),
    "IGNORE": Look(color=PURPLE, shape="circle", dash=DOTTED),
    "MIME": Look(color=OCHRE, shape="triangle-down", dash=DOTTED),
}
"""Large-loss methods have solid lines, baselines dashed ones, later losses dashes and dots."""

OTHER_COLORS = (PURPLE, TEAL, OCHRE, WINE, SKY)
OTHER_SHAPES = ("cross", "triangle-left", "triangle-right", "square", "diamond")
OTHER_DASHES = (DASH_DOT, TINY, LONG)


def look_of(method: str) -> Look:
    """The look of a method; one without an entry, such as a plug-in's, gets a look that depends only on its name."""
    if method in LOOKS:
        return LOOKS[method]
    number = zlib.crc32(method.encode())  # not hash(), which differs from process to process
    return Look(
        color=OTHER_COLORS[number % len(OTHER_COLORS)],
        shape=OTHER_SHAPES[number // 5 % len(OTHER_SHAPES)],
        dash=OTHER_DASHES[number // 25 % len(OTHER_DASHES)],
    )


def keys_of(methods: Iterable[str], mark: str = "point") -> tuple[Key, ...]:
    """A legend's entries for methods."""
    looks = ((method, look_of(method)) for method in methods)
    return tuple(Key(label=name, color=one.color, shape=one.shape, dash=one.dash, mark=mark) for name, one in looks)


def method_color(methods: Iterable[str]) -> alt.Color:
    """Color by method."""
    return alt.Color("method:N", scale=_colors(methods), title=None)


def method_fill(methods: Iterable[str]) -> alt.Fill:
    """Fill by method."""
    return alt.Fill("method:N", scale=_colors(methods), title=None)


def method_shape(methods: Iterable[str]) -> alt.Shape:
    """Shape by method."""
    names = list(methods)
    return alt.Shape(
        "method:N", scale=alt.Scale(domain=names, range=[look_of(name).shape for name in names]), title=None
    )


def method_dash(methods: Iterable[str]) -> alt.StrokeDash:
    """Dashes by method."""
    names = list(methods)
    scale = alt.Scale(domain=names, range=[list(look_of(name).dash) or [1, 0] for name in names])
    return alt.StrokeDash("method:N", scale=scale, title=None)


def config(*, legends: bool) -> dict[str, Any]:
    """What all charts share, on a light background.

    Args:
        legends: draw them; a page has its own.
    """
    return {
        "background": "transparent",
        "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif",
        "view": {"stroke": None},
        "axis": {
            "labelColor": QUIET,
            "titleColor": QUIET,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "gridColor": FAINT,
            "gridOpacity": 0.7,
            "domainColor": FAINT,
            "tickColor": FAINT,
            "labelOverlap": "greedy",
            "tickCount": 5,
        },
        "axisY": {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "start", "titleY": -12, "titleX": 0},
        "legend": {"disable": True}
        if not legends
        else {"orient": "bottom", "labelFontSize": 12, "labelColor": INK, "symbolSize": 80, "titleColor": QUIET},
        "text": {"fontSize": 12, "color": INK},
        "title": {"color": INK, "fontSize": 14, "anchor": "start", "fontWeight": "bold"},
    }


def _colors(methods: Iterable[str]) -> alt.Scale:
    names = list(methods)
    return alt.Scale(domain=names, range=[look_of(name).color for name in names])
