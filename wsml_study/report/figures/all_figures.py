"""All figures, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wsml_study.report.figures.confirmed import confirmed
from wsml_study.report.figures.confirmed_classes import confirmed_classes
from wsml_study.report.figures.corrected import corrections
from wsml_study.report.figures.factor_curves import factor_curves
from wsml_study.report.figures.figure import Figure, LeftOut
from wsml_study.report.figures.front import front
from wsml_study.report.figures.groups import map_by_group
from wsml_study.report.figures.importance import importance
from wsml_study.report.figures.learning import distrust, learning_curves, memorization
from wsml_study.report.figures.levels import level_agreement
from wsml_study.report.figures.method_heat import method_heat
from wsml_study.report.figures.methods import ap_per_class, gain_over_baseline, trials_by_method
from wsml_study.report.figures.parallel import parallel_coordinates
from wsml_study.report.figures.rate_effect import map_over_rate
from wsml_study.report.figures.rate_lines import rate_effect
from wsml_study.report.figures.search import best_so_far, rank_agreement, slots_over_time
from wsml_study.results.study_results import StudyRecord

FigureOf = Callable[[StudyRecord], Figure | LeftOut | None]
"""None where the study does not raise the figure's question."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Figures that answer one question.

    Attributes:
        name: of its anchor.
        title: the question.
        figures: what makes them.
    """

    name: str
    title: str
    figures: tuple[FigureOf, ...]


SECTIONS = (
    Section(
        name="methods",
        title="Which method?",
        figures=(
            confirmed,
            confirmed_classes,
            method_heat,
            factor_curves,
            front,
            gain_over_baseline,
            trials_by_method,
            map_by_group,
            ap_per_class,
        ),
    ),
    Section(
        name="rate",
        title="Which rate, and what else decides?",
        figures=(rate_effect, map_over_rate, importance, parallel_coordinates),
    ),
    Section(
        name="learning",
        title="What does the network learn?",
        figures=(learning_curves, memorization, distrust, corrections),
    ),
    Section(
        name="search",
        title="How did the search go?",
        figures=(best_so_far, level_agreement, rank_agreement, slots_over_time),
    ),
)
