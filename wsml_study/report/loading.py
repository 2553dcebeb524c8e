"""A study's results in Python: `wsml_study.load("results/x")`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from wsml_study.errors import ResultsError
from wsml_study.record.tables import SCHEMAS, read_table
from wsml_study.report.summary import study_folder
from wsml_study.results.confirmation import Confirmation, read_confirmation
from wsml_study.results.level_results import Levels, read_levels
from wsml_study.results.ranking import ranked_trials
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study


@dataclass(frozen=True)
class StudyResults:
    """A study's tables, each read when it is first asked for.

    Attributes:
        folder: of the results, or the local copy of it.
    """

    folder: Path

    @cached_property
    def study(self) -> Study:
        """The study as it was run."""
        return read_study(self.folder / "study.yaml")

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row per trial."""
        return self._pandas("trials")

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """A row per epoch of each trial."""
        return self._pandas("epochs")

    @cached_property
    def classes(self) -> pd.DataFrame:
        """A row per class of each trial, at its best epoch."""
        return self._pandas("classes")

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The trials, best value first."""
        return ranked_trials(self.folder)

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """What is sure, None if nothing was confirmed yet."""
        return read_confirmation(self.folder)

    @cached_property
    def levels(self) -> Levels | None:
        """The levels of fidelity and how far neighbours agree, None if the study has none."""
        return read_levels(self.folder)

    def arrow(self, table: str) -> pa.Table:
        """A table with the types, units and meanings of its columns.

        Args:
            table: trials, epochs or classes.

        Raises:
            ValueError: there is no such table.
            ResultsError: it cannot be read.
        """
        if table not in SCHEMAS:
            raise ValueError(f"expected one of {', '.join(SCHEMAS)}, got {table!r}")
        return read_table(self.folder, table)

    def _pandas(self, table: str) -> pd.DataFrame:
        frame: pd.DataFrame = self.arrow(table).to_pandas()
        return frame


def load(place: str | Path) -> StudyResults:
    """The results of a study.

    Args:
        place: the folder of its results, or a URI of `pyarrow.fs` such as `s3://bucket/results/x`.

    Raises:
        ResultsError: no results are there.
    """
    parent, _, name = str(place).rstrip("/").rpartition("/")
    folder = study_folder(name, parent or ".")
    if not (folder / "trials.parquet").exists():
        raise ResultsError(f"{place}: expected the folder of a study's results, which has a trials.parquet")
    return StudyResults(folder)
