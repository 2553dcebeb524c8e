"""Reads all results of a study's folder into one record, for reports and notebooks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from wsml_study.errors import ResultsError
from wsml_study.record.brief_log import read_brief_log
from wsml_study.record.events import read_log
from wsml_study.record.history import StudyHistory
from wsml_study.record.storage import EVENTS
from wsml_study.record.tables import SCHEMAS, read_table, refuse_lost_events, tables_of
from wsml_study.record.trial_history import Event, TrialState
from wsml_study.record.wording import describe, short_names, spaced
from wsml_study.results.answered_runs import read_answered
from wsml_study.results.confirmation import BASELINE, Confirmation, read_confirmation
from wsml_study.results.level_results import Levels, read_levels
from wsml_study.results.ranking import best_per_method, contenders, ranked
from wsml_study.results.timeline import Attempt, Span, attempts, spans
from wsml_study.study.reading import read_study
from wsml_study.study.spec import Study


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """All results of a study.

    Attributes:
        folder: of the results.
        study: the study file in it.
        events: oldest first.
        history: state after all events.
        trials: ranked, best first, with `label`, a short text of the suggested values.
        epochs: the table, with `method` and `label` of the trial and `objective`, the trial's after the epoch.
        classes: the table, with `method` of the trial.
        confirmation: None if it has not begun.
        levels: levels of fidelity; None if the study has none.
    """

    folder: Path
    study: Study
    events: list[Event]
    history: StudyHistory
    trials: pd.DataFrame
    epochs: pd.DataFrame
    classes: pd.DataFrame
    confirmation: Confirmation | None
    levels: Levels | None

    @property
    def best_trials(self) -> pd.DataFrame:
        """The best trial of each method, best first."""
        return best_per_method(self.trials)

    @property
    def contenders(self) -> pd.DataFrame:
        """`best_trials` of methods that see only the observed labels; of all methods if there are none."""
        return contenders(self.best_trials).reset_index(drop=True)

    @property
    def baseline(self) -> pd.Series | None:
        """The best trial of AN; None if there is none."""
        best = self.best_trials
        of_baseline = best[best["method"] == BASELINE]
        return None if of_baseline.empty else of_baseline.iloc[0]

    @property
    def methods(self) -> list[str]:
        """Methods of the study's trials, the best first, those without a value last."""
        return [str(method) for method in self.trials["method"].drop_duplicates()]

    @property
    def environment(self) -> dict[str, Any]:
        """The recorded environment of the newest run; empty if the log has none."""
        runs = [run["environment"] for run in self.history.runs if "environment" in run]
        return dict(runs[-1]) if runs else {}

    @property
    def key_names(self) -> dict[str, str]:
        """Searched key -> its name in figures."""
        names = short_names(self.study.varied)
        return {key: "method" if key == "method.name" else spaced(name) for key, name in names.items()}

    @property
    def counts(self) -> dict[TrialState, int]:
        """State -> number of trials."""
        return {state: int((self.trials["state"] == state).sum()) for state in TrialState}

    @cached_property
    def attempts(self) -> list[Attempt]:
        """All attempts of all trials, in the order of their starts."""
        return attempts(self.events)

    @cached_property
    def runs(self) -> list[Span]:
        """The runs of the study, oldest first."""
        return spans(self.events)

    def trial(self, number: int) -> dict[str, Any]:
        """Columns trial, method, value, state and label of one trial, for figures."""
        row = self.trials.iloc[self._row_of_trial[number]]
        return {column: row[column] for column in ("trial", "method", "value", "state", "label")}

    @cached_property
    def _row_of_trial(self) -> dict[int, int]:
        return {int(number): row for row, number in enumerate(self.trials["trial"])}


def read_record(folder: Path) -> StudyRecord:
    """Read the results of a study from its events, or from its tables if there are no events.

    Raises:
        ResultsError: the folder holds no study, or its events or tables are damaged.
        StudyFileError: its study file is damaged.
    """
    if not (folder / "study.yaml").exists():
        raise ResultsError(
            f"{folder}: no results of a study; `wsml-study run` writes them; or give the folder of another study"
        )
    study = read_study(folder / "study.yaml")
    if (brief := read_brief_log(folder, study)) is not None:
        return _record(folder, study, brief.events, brief.history, brief.tables)
    log = folder / EVENTS
    events: list[Event] = []
    history = StudyHistory()
    if log.exists():
        found, history = read_log(log)
        refuse_lost_events(folder, history)
        events += found
    return record_of(folder, study, events, history)


def record_of(folder: Path, study: Study, events: list[Event], history: StudyHistory) -> StudyRecord:
    """As `read_record`, of a study and a log that have been read.

    Args:
        folder: of the results.
        study: the study file in it.
        events: of its log; empty where it has none.
        history: state after all events.
    """
    # From the events: the tables of a running study are written after them.
    tables = tables_of(study, history) if events else {name: read_table(folder, name) for name in SCHEMAS}
    return _record(folder, study, events, history, tables)


def _record(
    folder: Path, study: Study, events: list[Event], history: StudyHistory, tables: dict[str, pa.Table]
) -> StudyRecord:
    trials = ranked(tables["trials"], answered=read_answered(folder))
    trials["label"] = [spaced(describe(json.loads(values))) for values in trials["values"]]
    of_trial = trials[["trial", "method", "label"]]
    epochs = tables["epochs"].to_pandas().merge(of_trial, on="trial")
    # Tables of earlier versions, which had no other metric than mAP, lack these columns: they are null here.
    prefix = "best_" if study.objective.of_best_epoch else ""
    so_far = epochs[f"{prefix}objective"].fillna(epochs[f"{prefix}val_map"])
    return StudyRecord(
        folder=folder,
        study=study,
        events=events,
        history=history,
        trials=trials,
        epochs=epochs.assign(objective=so_far),
        classes=tables["classes"].to_pandas().merge(of_trial[["trial", "method"]], on="trial"),
        confirmation=read_confirmation(folder),
        levels=read_levels(folder),
    )
