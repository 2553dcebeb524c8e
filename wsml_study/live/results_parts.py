"""Ranking, answer and figures of a study as plain data, by the functions of `results` and `report`."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from wsml_study.live.followed_study import Results
from wsml_study.record.wording import describe
from wsml_study.report.figures.all_figures import SECTIONS
from wsml_study.report.figures.figure import Figure, LeftOut
from wsml_study.report.figures.learning import learning_curves
from wsml_study.report.figures.search import best_so_far
from wsml_study.report.page.answer import answer, remarks
from wsml_study.report.page.rendering import render_figure
from wsml_study.report.summary import trial_columns
from wsml_study.results.ranking import by_config
from wsml_study.results.study_results import StudyRecord

MOST_ROWS = 50
FIRST_FIGURES = (learning_curves, best_so_far)
"""Figures that grow from epoch to epoch; all others follow more slowly."""


def results_of(results: Results) -> dict[str, Any]:
    """The answer so far, the ranking, and the curves."""
    record = results.record
    ranked = by_config(record.trials)
    columns = trial_columns(ranked.head(MOST_ROWS), running=results.at_work) if len(ranked) else {}
    return {
        "answer": list(answer(record)) if len(ranked) else [],
        "remarks": list(remarks(record)) if len(ranked) else [],
        "best": _best(record),
        "ranking": {
            "head": list(columns),
            "body": [list(row) for row in zip(*columns.values(), strict=True)],
            "total": len(ranked),
        },
        "figures": [_plain(figure) for make in FIRST_FIGURES if (figure := make(record)) is not None],
    }


def figures_of(results: Results) -> dict[str, Any]:
    """The figures of the report, by section, without those of `results_of`."""
    record = results.record
    sections = []
    for section in SECTIONS:
        made = (make(record) for make in section.figures if make not in FIRST_FIGURES)
        figures = [_plain(figure) for figure in made if figure is not None]
        sections.append({"name": section.name, "title": section.title, "figures": figures})
    return {"sections": sections}


def _best(record: StudyRecord) -> dict[str, Any] | None:
    """The trial that the ranking has first."""
    ranked = by_config(record.trials)
    if not len(ranked) or pd.isna(ranked.iloc[0]["value"]):
        return None
    best = ranked.iloc[0]
    return {
        "trial": int(best["trial"]),
        "text": record.study.objective.text(float(best["value"])),
        "values": describe(json.loads(best["values"])),
    }


def _plain(figure: Figure | LeftOut) -> dict[str, Any]:
    return {"name": figure.name, "drawn": isinstance(figure, Figure), "html": render_figure(figure)}
