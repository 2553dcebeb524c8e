"""A table of how far each confirmed config is from its study's baseline, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

from wsml_study.record.wording import p_text, spaced
from wsml_study.report.paper.study_columns import Column


def difference_columns(columns: Sequence[Column]) -> dict[str, list[str]]:
    """Each confirmed config against its study's baseline; empty columns if no study is confirmed."""
    rows = [(column, one) for column in columns for one in column.comparisons]
    return {
        "dataset": [column.heading for column, _ in rows],
        "config": [spaced(one.config.described) for _, one in rows],
        "baseline": [one.baseline.called for _, one in rows],
        "points": [f"{one.points.mean:+.2f} ({one.points.ends})" for _, one in rows],
        "seeds": [str(one.points.count) for _, one in rows],
        "p": [p_text(one.judged.corrected) for _, one in rows],
        "outcome": [one.verdict.value for _, one in rows],
    }
