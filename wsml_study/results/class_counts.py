"""Over how many classes each mAP of a study's tables is a mean, and on how many labels, in sentences below a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wsml_study.record.tables import read_table
from wsml_study.results.label_texts import labels_text, likelier_text
from wsml_study.study.objective_section import Objective

SPLITS = ("validation", "test")
AVERAGED, AT_ZERO = "mAP is the mean over", "mAP counts 0 for"
"""How sentences about means that are not over all classes, or over some without a positive, begin."""


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
    of_split = classes.loc[classes["split"] == split]
    ap = of_split.groupby("trial")["average_precision"]
    counted = ap.count()
    if counted.empty or not counted.max():
        return None
    # A class with a positive has an AP above 0, however it is ranked.
    at_zero = (of_split["average_precision"] == 0).groupby(of_split["trial"]).sum()
    return ClassCounts(counted=_ends(counted), at_zero=_ends(at_zero), total=int(ap.size().max()))


def class_note(objective: Objective, classes: pd.DataFrame, splits: Sequence[str] = SPLITS) -> list[str]:
    """Sentences about what mAP is judged on: `averaged_classes`, and the labels where they are partial.

    Args:
        objective: of the trials.
        classes: the table `classes` of these trials.
        splits: whose mAP is shown.
    """
    return [*averaged_classes(objective, classes, splits), *label_note(classes, splits)]


def label_note(classes: pd.DataFrame, splits: Sequence[str] = SPLITS) -> list[str]:
    """On how many labels of how many figures are judged, and the likely error of that; none for complete labels.

    Args:
        classes: a row per class of each trial; of earlier versions, without numbers of labels.
        splits: whose figures are shown.
    """
    if "num_positives" not in classes:
        return []
    texts = [f"{text} in {split}" for split in splits if (text := _labels_of(classes.loc[classes["split"] == split]))]
    notes = [f"judged on {'; '.join(texts)}"] if texts else []
    ratios = classes.loc[classes["split"] == "validation"]["positives_likelier"].dropna()
    if "validation" in splits and len(ratios) and (warning := likelier_text(float(ratios.iloc[0]))):
        notes.append(warning)
    return notes


def _labels_of(rows: pd.DataFrame) -> str:
    """The text about the labels of trials on one split; of the fewest labels where trials differ."""
    columns = ["num_positives", "num_negatives", "num_assumed_negative", "num_left_out"]
    sums = rows.dropna(subset=columns).groupby("trial")[columns].sum().astype(int)
    if sums.empty:
        return ""
    known = sums["num_positives"] + sums["num_negatives"]
    fewest = sums.iloc[int(known.to_numpy().argmin())]
    return labels_text(int(known.min()), int(fewest.sum()), assumed=bool(fewest["num_assumed_negative"]))


def averaged_classes(objective: Objective, classes: pd.DataFrame, splits: Sequence[str] = SPLITS) -> list[str]:
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
        return [f"{AT_ZERO} a class without a positive: {', '.join(texts)}"] if zeros else []
    if all(counts.counted[0] == counts.total for counts in found.values()):
        return []
    needed = "a positive" if objective.least_positives == 1 else f"{objective.least_positives} positives or more"
    texts = (f"{counts.text} in {split}" for split, counts in found.items())
    return [f"{AVERAGED} the classes with {needed}: {', '.join(texts)}"]


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
    classes = read_table(folder, "classes").drop(["study", "epoch", "class", "class_group"]).to_pandas()
    if trials is not None:
        classes = classes[classes["trial"].isin(trials)]
    return class_note(objective, classes, splits)


def _ends(counts: pd.Series) -> tuple[int, int]:
    return int(counts.min()), int(counts.max())


def _range(ends: tuple[int, int]) -> str:
    low, high = ends
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
