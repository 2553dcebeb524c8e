"""A study's record around a table of trials, without a folder."""

from __future__ import annotations

import pandas as pd

from wsml_study.record.history import StudyHistory
from wsml_study.results.study_results import StudyRecord
from wsml_study.study.spec import Study


def record_of(trials: pd.DataFrame, study: Study) -> StudyRecord:
    """The record of a study with these trials and nothing else."""
    nothing = pd.DataFrame()
    return StudyRecord(
        folder=None,  # type: ignore[arg-type]
        study=study,
        events=[],
        history=StudyHistory(),
        trials=trials,
        epochs=nothing,
        classes=nothing,
        confirmation=None,
        levels=None,
    )
