"""Figures as Vega-Lite for a page, and as SVG, PNG or PDF files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import altair as alt
import vl_convert

from wsml_study.record.files import write_whole
from wsml_study.report.figures.figure import Figure, Panel
from wsml_study.report.figures.look import GROUND, ON_DARK, config

Format = Literal["svg", "png", "pdf"]
VEGA_LITE = "application/vnd.vegalite.v6+json"
"""Media type by which notebooks know Vega-Lite, as Altair names it."""

PANEL_WIDTH, WIDE_WIDTH = 380, 720
"""Pixels of a panel in a file."""

PNG_SCALE = 2.0
"""Pixels of a PNG per pixel of the figure."""


def page_spec(panel: Panel) -> str:
    """A panel as Vega-Lite JSON with the width of its container; the legend is drawn by the page."""
    # fit-x shrinks the plot until axes and labels fit into the container; the default `pad` would add them to its
    # width, and they would overflow on a phone.
    chart = panel.chart.properties(width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    return json.dumps(_spec(chart, legends=False), separators=(",", ":"), allow_nan=False)


def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed, which define `window.vegaEmbed`; they load nothing."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def dark_colors() -> dict[str, str]:
    """Color on a light background -> its counterpart on a dark one."""
    return dict(ON_DARK)


def write_figure(figure: Figure, folder: Path, file_format: Format) -> Path:
    """Draw a figure into a file named after it.

    Raises:
        ResultsError: the folder cannot be written.
    """
    path = folder / f"{figure.name}.{file_format}"
    write_whole(path, drawn(figure, file_format))
    return path


def drawn(figure: Figure, file_format: Format) -> bytes:
    """A figure, its panels side by side, on a light background with a legend."""
    spec = figure_spec(figure)
    if file_format == "svg":
        return str(vl_convert.vegalite_to_svg(spec)).encode()
    if file_format == "pdf":
        return bytes(vl_convert.vegalite_to_pdf(spec))
    return bytes(vl_convert.vegalite_to_png(spec, scale=PNG_SCALE))


def figure_spec(figure: Figure) -> dict[str, Any]:
    """A figure as Vega-Lite, its panels side by side, on a light background with a legend."""
    width = WIDE_WIDTH if figure.wide else PANEL_WIDTH
    panels = [panel.chart.properties(width=width, title=panel.title or figure.title) for panel in figure.panels]
    chart = panels[0] if len(panels) == 1 else alt.concat(*panels, columns=2)
    return _spec(chart, legends=True) | {"background": GROUND}


def _spec(chart: Any, *, legends: bool) -> dict[str, Any]:
    return {**chart.to_dict(validate=True), "config": config(legends=legends)}
