"""A study's results in Python: `wsml_study.load("results/x")`."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from wsml_study.errors import ResultsError
from wsml_study.record.storage import open_results
from wsml_study.record.tables import SCHEMAS, read_table, searched_keys
from wsml_study.report.figures.all_figures import SECTIONS
from wsml_study.report.figures.figure import Figure
from wsml_study.report.html_report import Report, write_report
from wsml_study.report.notebook import StudyFigure, StudyFigures
from wsml_study.report.paper.paper_folder import Paper, write_paper
from wsml_study.report.paper.result_table import ResultTable
from wsml_study.report.paper.study_columns import columns_of
from wsml_study.report.summary import answer, trials_table
from wsml_study.results.confirmation import Confirmation, read_confirmation
from wsml_study.results.corrections import Corrections, read_corrections
from wsml_study.results.level_results import Levels, read_levels
from wsml_study.results.ranking import best_per_method, ranked_trials
from wsml_study.results.study_results import read_record
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study

SHOWN = ("rank", "trial", "method", "value", "test_map", "best_epoch", "last_epoch", "state")
"""Columns of the trials table that a notebook shows, beside the searched keys."""


@dataclass(frozen=True)
class StudyResults:
    """A study's tables, each read when it is first used.

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
        """Results of the confirmation; None if there is none yet."""
        return read_confirmation(self.folder)

    @cached_property
    def best(self) -> pd.DataFrame:
        """The best trial of each method, best first."""
        return best_per_method(self.ranked)

    @cached_property
    def figures(self) -> StudyFigures:
        """The figures of the report by name; those without data are left out."""
        record = read_record(self.folder)
        made = (make(record) for section in SECTIONS for make in section.figures)
        return StudyFigures({figure.name: StudyFigure(figure) for figure in made if isinstance(figure, Figure)})

    def __str__(self) -> str:
        return "\n".join([*trials_table(self.ranked), "", *answer(self.folder, study_argument=str(self.folder))])

    def _repr_html_(self) -> str:
        """What a notebook shows: the findings so far, and the ranked trials."""
        said = "<br>".join(html.escape(line) for line in answer(self.folder, study_argument=str(self.folder)))
        columns = [name for name in SHOWN if name in self.ranked.columns]
        searched = searched_keys(self.ranked.columns)
        table = self.ranked[list(dict.fromkeys([*columns, *searched]))].to_html(index=False, border=0, na_rep="-")
        return f"<p><b>{html.escape(self.folder.name)}</b></p><p>{said}</p>{table}"

    @cached_property
    def levels(self) -> Levels | None:
        """The levels of a multi-fidelity study and how well neighbouring levels agree; None without levels."""
        return read_levels(self.folder)

    def write_report(self, output: str | Path | None = None) -> Report:
        """Write the report, one HTML file that needs nothing else; as `wsml-study report`.

        Args:
            output: the file; by default report.html in the folder of the results.

        Raises:
            ResultsError: the file exists and is no report, or cannot be written.
        """
        path = self.folder / "report.html" if output is None else Path(output)
        return write_report(self.folder, path, address=str(self.folder))

    def paper_table(self, *others: StudyResults) -> ResultTable:
        """The table of a paper: the methods of this study and of others, a column each, as `wsml-study paper` has it.

        Raises:
            ResultsError: a study's results cannot be read.
        """
        records = (read_record(one.folder) for one in (self, *others))
        return ResultTable(columns=tuple(column for record in records for column in columns_of(record)))

    def write_paper(self, folder: str | Path, *others: StudyResults, overwrite: bool = False) -> Paper:
        """Write tables, figures, methods, references and data of this study and of others, as `wsml-study paper`.

        Raises:
            ResultsError: two studies have one name, no trial has a value yet, or the folder has something else in it.
        """
        return write_paper([one.folder for one in (self, *others)], Path(folder), overwrite=overwrite)

    def corrections(self, trial: int | None = None) -> Corrections:
        """The labels that a trial has corrected for good (LL-Cp), with their counts by epoch and class.

        Args:
            trial: its number; by default the best one whose corrections are kept.

        Raises:
            ResultsError: no trial has any kept, or this one has not.
        """
        return read_corrections(self.folder, trial)

    def draw_corrections(
        self,
        output: str | Path,
        *,
        trial: int | None = None,
        photos: int = 3,
        data_root: str | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Draw photos with their corrected labels into a .png file; as `wsml-study corrections --picture`.

        Raises:
            ResultsError: there are no corrections, or the file exists or cannot be written.
            DataError: the data are not there, or have no photos.
        """
        from wsml_study.report.corrections_picture import draw_corrections

        found = self.corrections(trial)
        return draw_corrections(
            self.folder, found, Path(output), num_photos=photos, data_root=data_root, overwrite=overwrite
        )

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
        ResultsError: there are no results.
    """
    parent, _, name = str(place).rstrip("/").rpartition("/")
    folder = open_results(parent or ".", name).fetch()
    if not (folder / "trials.parquet").exists():
        raise ResultsError(f"{place}: expected the folder of a study's results, which has a trials.parquet")
    return StudyResults(folder)
