"""What a notebook shows of figures and tables: HTML that loads nothing, and Vega-Lite where the notebook draws it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from wsml_study.report.figures.drawing import VEGA_LITE, Format, drawn, figure_spec, write_figure
from wsml_study.report.figures.figure import Figure


@dataclass(frozen=True)
class StudyFigure:
    """A figure of the report. Notebooks that know Vega-Lite show it with tooltips, others as SVG; none needs a network.

    Attributes:
        figure: title, caption, Altair charts and table.
    """

    figure: Figure

    @property
    def table(self) -> pd.DataFrame | None:
        """The numbers beside it, as text; None if it has none."""
        found = self.figure.table
        return None if found is None else pd.DataFrame(found.body, columns=list(found.head))

    def save(self, folder: str | Path, file_format: Format = "svg") -> Path:
        """Draw it into a file of a folder, `svg`, `png` or `pdf`.

        Raises:
            ResultsError: the folder cannot be written.
        """
        return write_figure(self.figure, Path(folder), file_format)

    def __repr__(self) -> str:
        return f"{self.figure.title}: {self.figure.caption}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {VEGA_LITE: figure_spec(self.figure), "text/html": self._repr_html_(), "text/plain": repr(self)}

    def _repr_html_(self) -> str:
        caption = html.escape(self.figure.caption)
        return f"<figure>{drawn(self.figure, 'svg').decode()}<figcaption>{caption}</figcaption></figure>"


class StudyFigures(dict[str, StudyFigure]):
    """Figures by name; a notebook shows a list of them."""

    def _repr_html_(self) -> str:
        figures = [one.figure for one in self.values()]
        columns = {
            "name": [figure.name for figure in figures],
            "title": [figure.title for figure in figures],
            "caption": [figure.caption for figure in figures],
        }
        return html_table(columns)


def html_table(columns: Mapping[str, Sequence[str]]) -> str:
    """Columns of text as a table in HTML, names first; all text escaped."""
    names = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    rows = ("".join(f"<td>{html.escape(text)}</td>" for text in row) for row in zip(*columns.values(), strict=True))
    return f"<table><thead><tr>{names}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"
