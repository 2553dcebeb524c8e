"""mAP by groups of classes (OpenImages V3's G1 to G5) beside the published figures, for tables of text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from wsml_study.methods.published_numbers import Published, published
from wsml_study.record.formats import aligned, percent
from wsml_study.record.tables import read_table
from wsml_study.results.class_groups import EXPLAINED, trial_groups
from wsml_study.results.ranking import best_per_method
from wsml_study.study.spec import Study, TrialConfig


def group_columns(ours: Sequence[Sequence[float]], papers: Sequence[Published | None]) -> dict[str, list[str]]:
    """Two columns per group, ours and the published one, a row per method; empty where no row of ours has groups.

    Args:
        ours: mAP in percent of each group, NaN where it cannot be evaluated; empty for a row without any.
        papers: the published results of these rows.
    """
    columns: dict[str, list[str]] = {}
    for group in range(max(map(len, ours), default=0)):
        columns[f"G{group + 1}"] = [percent(row[group]) if row else "-" for row in ours]
        columns[f"G{group + 1} published"] = [
            f"{paper.groups[group]:.1f}" if paper is not None and len(paper.groups) > group else "-" for paper in papers
        ]
    return columns


def groups_of_trials(folder: Path, trials: pd.DataFrame) -> list[str]:
    """The best trial of each method with its mAP by groups of classes, and a blank line; empty without groups.

    Args:
        folder: of the study's results.
        trials: ranked.
    """
    best = best_per_method(trials)
    split = "test" if best["test_map"].notna().any() else "validation"
    groups = trial_groups(read_table(folder, "classes").to_pandas(), split)
    best = best[best["trial"].isin(groups.index)]
    if best.empty:
        return []
    ours = [tuple(groups.loc[trial]) for trial in best["trial"]]
    papers = [published_for(TrialConfig.model_validate_json(config)) for config in best["config"]]
    columns = {
        "method": best["method"].tolist(),
        "trial": best["trial"].astype(str).tolist(),
        **group_columns(ours, papers),
    }
    heading = f"mAP by groups of classes on the {split} images, best trials; published figures are of the test images"
    return [heading, EXPLAINED, *aligned(columns), ""]


def published_for(config: TrialConfig | Study) -> Published | None:
    """The published result of a config's method on its dataset, with its head and mode; None if there is none."""
    return published(
        config.method.name.value, config.data.dataset.value, head=config.model.head, mode=config.training.mode
    )
