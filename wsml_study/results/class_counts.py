"""Over how many classes each mAP of a study's tables is a mean, in a sentence to print below a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wsml_study.record.tables import read_table
from wsml_study.study.objective_section import Objective

SPLITS = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """The classes behind the mAP of trials on one split; the smallest and the largest number where trials differ.

    Attributes:
        counted: classes that the mAP is the mean of.
        at_zero: those of them that have no positive, and count 0.
        total: all classes.
    """

    counted: tuple[int, int]
    at_zero: tuple[int, int]
    total: int

    @property
    def text(self) -> str:
        """As in `14 of 20`."""
        return f"{_range(self.counted)} of {self.total:,}"


def class_counts(classes: pd.DataFrame, split: str) -> ClassCounts | None:
    """The classes behind the mAP of all trials of a table `classes` on a split; None if none was evaluated.

    Args:
        classes: a row per class of each trial, without AP if it is not in the mean.
        split: `validation` or `test`.
    """
    ap = classes.loc[classes["split"] == split].groupby("trial")["average_precision"]
    counted = ap.count()
    if counted.empty or not counted.max():
        return None
    # A class with a positive has an AP above 0, however it is ranked.
    at_zero = ap.agg(lambda values: int((values == 0).sum()))
    return ClassCounts(counted=_ends(counted), at_zero=_ends(at_zero), total=int(ap.size().max()))


def class_note(objective: Objective, classes: pd.DataFrame, splits: Sequence[str] = SPLITS) -> list[str]:
    """A sentence about the classes that mAP is a mean of; none where it is the mean of all, and all have a positive.

    Args:
        objective: of the trials.
        classes: the table `classes` of these trials.
        splits: whose mAP is shown.
    """
    if not objective.is_plain_map:  # the value of a trial is another metric, or a mean over other classes
        splits = [split for split in splits if split != "validation"]
    found = {split: counts for split in splits if (counts := class_counts(classes, split)) is not None}
    if objective.least_positives == 0:
        zeros = {split: counts for split, counts in found.items() if counts.at_zero[1]}
        texts = (f"{_range(counts.at_zero)} of {counts.total:,} in {split}" for split, counts in zeros.items())
        return [f"mAP counts 0 for a class without a positive: {', '.join(texts)}"] if zeros else []
    if all(counts.counted[0] == counts.total for counts in found.values()):
        return []
    needed = "a positive" if objective.least_positives == 1 else f"{objective.least_positives} positives or more"
    texts = (f"{counts.text} in {split}" for split, counts in found.items())
    return [f"mAP is the mean over the classes with {needed}: {', '.join(texts)}"]


def class_note_of(
    folder: Path, objective: Objective, trials: Sequence[int] | None = None, splits: Sequence[str] = SPLITS
) -> list[str]:
    """`class_note` of the tables in a folder; none before they are written.

    Args:
        folder: of a study, a confirmation or a final training.
        objective: of its trials.
        trials: numbers of those that are shown; None for all.
        splits: whose mAP is shown.

    Raises:
        ResultsError: the table is damaged.
    """
    if not (folder / "classes.parquet").exists():
        return []
    classes = read_table(folder, "classes").select(["trial", "split", "average_precision"]).to_pandas()
    if trials is not None:
        classes = classes[classes["trial"].isin(trials)]
    return class_note(objective, classes, splits)


def _ends(counts: pd.Series) -> tuple[int, int]:
    return int(counts.min()), int(counts.max())


def _range(ends: tuple[int, int]) -> str:
    low, high = ends
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
