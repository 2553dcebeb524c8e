"""The labels that a trial has corrected for good (LL-Cp): how many were right, by epoch and by class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from wsml_study.errors import ResultsError
from wsml_study.record.formats import aligned
from wsml_study.record.label_tables import CORRECTIONS
from wsml_study.record.shown_lines import ShownLines
from wsml_study.results.ranking import ranked_trials

MOST_CLASSES = 30
"""Classes that are printed."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Corrections(ShownLines):
    """The labels of the training images that a trial has corrected for good.

    Attributes:
        trial: its number.
        method: its method.
        table: a row per label, by epoch, as the schema of `CORRECTIONS` describes.
    """

    trial: int
    method: str
    table: pa.Table

    @property
    def frame(self) -> pd.DataFrame:
        """The table in pandas; `epoch` and `right` may be missing."""
        frame: pd.DataFrame = self.table.to_pandas(
            types_mapper={pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}.get
        )
        return frame

    @property
    def by_epoch(self) -> pd.DataFrame:
        """Counts as `_counted`, with an epoch per row; `precision_so_far` is of all corrections up to the epoch."""
        counts = _counted(self.frame, "epoch").sort_values("epoch", ignore_index=True)
        right, known = counts["right"].cumsum(), (counts["right"] + counts["wrong"]).cumsum()
        return counts.assign(precision_so_far=right / known.where(known > 0))

    @property
    def by_class(self) -> pd.DataFrame:
        """Counts as `_counted`, with a class per row, the most corrected one first."""
        counts = _counted(self.frame, "class")
        return counts.sort_values(["corrected", "class"], ascending=[False, True], ignore_index=True)

    def lines(self) -> list[str]:
        """The counts as text."""
        frame, num_images = self.frame, self.frame["image"].nunique()
        right, wrong = int(frame["right"].sum()), int((~frame["right"]).sum())
        judged = f"{right:,} right, {wrong:,} wrong" if right + wrong else "whether they are right is not known"
        lines = [
            f"trial {self.trial} ({self.method}) corrected {len(frame):,} labels of {num_images:,} images: {judged}"
        ]
        if not len(frame):
            return [f"trial {self.trial} ({self.method}) corrected no label"]
        by_class = self.by_class
        lines += ["", *_table(self.by_epoch), "", *_table(by_class.head(MOST_CLASSES))]
        if len(by_class) > MOST_CLASSES:
            lines.append(f"and {len(by_class) - MOST_CLASSES} more classes")
        return lines


def read_corrections(folder: Path, trial: int | None = None) -> Corrections:
    """The labels that a trial of a study has corrected.

    Args:
        folder: of the study's results.
        trial: its number; by default the best one that has any kept.

    Raises:
        ResultsError: no trial has any kept, or this one has not.
    """
    ranked = ranked_trials(folder)
    kept = CORRECTIONS.trials(folder)
    of_methods = ranked[ranked["trial"].isin(kept)]
    if trial is not None:
        of_methods = of_methods[of_methods["trial"] == trial]
    if of_methods.empty:
        raise ResultsError(f"{folder}: {_why_none(kept, trial)}")
    chosen = of_methods.iloc[0]
    return Corrections(
        trial=int(chosen["trial"]),
        method=str(chosen["method"]),
        table=CORRECTIONS.read(folder, int(chosen["trial"])),
    )


def _why_none(kept: list[int], trial: int | None) -> str:
    if trial is not None and kept:
        return f"no corrections of trial {trial} are kept, only those of {', '.join(map(str, kept[:20]))}"
    which = "no trial's corrections are kept" if trial is None else f"no corrections of trial {trial} are kept"
    return (
        f"{which}; trials of methods that correct labels for good (LL-Cp, MIME) keep them once they have run "
        "through all their epochs; for a trial of an earlier version run `wsml-study reproduce STUDY TRIAL`, and look "
        "into reproduced/trial_N of this folder"
    )


def _counted(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """For each value of a column: how many labels were corrected, how many rightly and wrongly, and the precision.

    The precision is a fraction of those that are known to be right or wrong; missing where there are none.
    """
    groups = frame.groupby(by, sort=False, dropna=False)
    counts = groups.agg(corrected=("image", "size"), right=("right", "sum"), known=("right", "count")).reset_index()
    right, known = counts["right"].astype(int), counts.pop("known").astype(int)
    return counts.assign(right=right, wrong=known - right, precision=right / known.where(known > 0))


def _table(counts: pd.DataFrame) -> list[str]:
    columns = {
        str(name).replace("_", " "): [
            "-" if pd.isna(value) else f"{value:.1%}" if "precision" in str(name) else f"{value}" for value in column
        ]
        for name, column in counts.items()
    }
    return aligned(columns)
