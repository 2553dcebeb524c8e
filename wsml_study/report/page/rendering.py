"""Renders a page as one self-contained HTML file."""

from __future__ import annotations

import json
import re
from importlib import resources

import jinja2
from markupsafe import Markup, escape

from wsml_study.report.figures.drawing import javascript, page_spec
from wsml_study.report.figures.figure import Figure, LeftOut, Panel
from wsml_study.report.figures.look import BLUE, FAINT, GROUND, INK, ON_DARK, QUIET
from wsml_study.report.page.contents import Page

GENERATOR = "wsml-study report"
"""Content of the meta tag `generator`, by which a report is recognized before it is overwritten."""

NAMES = {GROUND: "--ground", INK: "--ink", QUIET: "--quiet", FAINT: "--faint", BLUE: "--link"}
"""Colors with a named CSS variable; all others get a numbered one."""

VARIABLES = {color: NAMES.get(color, f"--color-{number}") for number, color in enumerate(ON_DARK)}
RAISED = {"--raised": ("#f4f5f7", "#20242c")}

SHAPES = {
    "circle": "M12 2.5a4.5 4.5 0 1 0 .01 0z",
    "square": "M8 3h8v8h-8z",
    "triangle-up": "M12 2l5 9h-10z",
    "triangle-down": "M12 12l5-9h-10z",
    "diamond": "M12 1.5l4.5 5.5l-4.5 5.5l-4.5-5.5z",
    "cross": "M10.3 2.5h3.4v2.8h2.8v3.4h-2.8v2.8h-3.4v-2.8h-2.8v-3.4h2.8z",
}
"""A point's shape -> SVG path in a box of 24 x 14."""

OUTLINES = {"cross-out": "M8.5 3.5l7 7M15.5 3.5l-7 7", "circle-hollow": "M12 3a4 4 0 1 0 .01 0z"}


def render(page: Page) -> str:
    """The page as HTML."""
    template = _environment().get_template("page.html.jinja")
    return template.render(
        page=page,
        generator=GENERATOR,
        light=_declarations(dark=False),
        dark=_declarations(dark=True),
        css=_file("page.css"),
        script=_file("page.js"),
        vega=_in_script(javascript()),
        dark_colors=json.dumps(ON_DARK),
    )


def render_figure(figure: Figure | LeftOut) -> str:
    """A figure as a part of a page that has `stylesheet` and draws the charts by a script of its own."""
    macros = _environment().get_template("figure.html.jinja").make_module()
    return str(macros.figure_block(figure))  # type: ignore[attr-defined]


def stylesheet() -> str:
    """Colors and style of the report, for other pages."""
    dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {_declarations(dark=True)} }} }}"
    return f":root {{ {_declarations(dark=False)} }}\n{dark}\n{_file('page.css')}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=jinja2.FunctionLoader(_file)
    )
    environment.filters |= {"spec": _spec, "prose": _prose}
    environment.globals |= {"variables": VARIABLES, "shapes": SHAPES, "outlines": OUTLINES}
    return environment


def _file(name: str) -> str:
    return (resources.files(__package__) / name).read_text()


def _spec(panel: Panel) -> str:
    return page_spec(panel).replace("<", "\\u003c")  # class names are user data and may contain </script>


def _prose(text: str) -> Markup:
    """Text with its `commands` set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _in_script(source: str) -> str:
    return source.replace("</script", "<\\/script")


def _declarations(*, dark: bool) -> str:
    colors = {VARIABLES[light]: on_dark if dark else light for light, on_dark in ON_DARK.items()}
    colors |= {name: pair[dark] for name, pair in RAISED.items()}
    return " ".join(f"{name}: {color};" for name, color in colors.items())
